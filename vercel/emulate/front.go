package emulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/serverurl/serverurl/internal/runtimeapi"
)

// A backend answers a request whose body has been read.
type backend interface {
	answer(ctx context.Context, r *http.Request, body []byte) (*answer, error)
	close() error
}

// An answer is a reply, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// errTimeout reports an instance that took longer than it may.
var errTimeout = errors.New("emulate: the function took too long")

// front is Vercel's edge as far as a function notices it.
func front(b backend, static string, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if file := staticFile(static, r); file != "" {
			http.ServeFile(w, r, file)
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		if err != nil {
			return // it was cut off: there is nobody to answer
		}
		if len(body) > maxBody {
			refuse(w, http.StatusRequestEntityTooLarge, "FUNCTION_PAYLOAD_TOO_LARGE")
			return
		}
		fromTheEdge(r)
		a, err := b.answer(r.Context(), r, body)
		failed, _ := errors.AsType[*runtimeapi.FunctionError](err)
		switch {
		case errors.Is(err, errTimeout), failed != nil && failed.Type == "Sandbox.Timedout":
			refuse(w, http.StatusGatewayTimeout, "FUNCTION_INVOCATION_TIMEOUT")
		case errors.Is(err, runtimeapi.ErrThrottled):
			refuse(w, http.StatusTooManyRequests, "FUNCTION_THROTTLED")
		case err != nil:
			log.Error("invocation failed", "reason", err)
			refuse(w, http.StatusInternalServerError, "FUNCTION_INVOCATION_FAILED")
		case len(a.body) > maxBody:
			refuse(w, http.StatusInternalServerError, "FUNCTION_RESPONSE_PAYLOAD_TOO_LARGE")
		default:
			for name, values := range a.header {
				w.Header()[http.CanonicalHeaderKey(name)] = values
			}
			w.WriteHeader(a.status)
			_, _ = w.Write(a.body)
		}
	})
}

// refuse answers what the function did not.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("X-Vercel-Error", code)
	http.Error(w, code, status)
}

// fromTheEdge sets the headers that Vercel sets, whatever the sender put there.
func fromTheEdge(r *http.Request) {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Vercel-") || strings.HasPrefix(name, "X-Forwarded-") {
			r.Header.Del(name)
		}
	}
	for name, value := range map[string]string{
		"X-Real-Ip": client, "X-Forwarded-For": client, "X-Vercel-Forwarded-For": client, "X-Forwarded-Host": r.Host,
		"X-Forwarded-Proto": "http", "X-Vercel-Id": "dev1::emulated", "X-Vercel-Deployment-Url": r.Host,
	} {
		r.Header.Set(name, value)
	}
}

// staticFile is the file that is served in place of the function, or "".
func staticFile(static string, r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return ""
	}
	name := filepath.FromSlash(strings.TrimPrefix(r.URL.Path, "/"))
	if !filepath.IsLocal(name) {
		return ""
	}
	for _, file := range []string{filepath.Join(static, name), filepath.Join(static, "public", name)} {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	return ""
}

// loopback checks that an address is for this machine only.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("emulate: %q is not HOST:PORT on loopback: an emulator is for this machine only", addr)
	}
	return nil
}

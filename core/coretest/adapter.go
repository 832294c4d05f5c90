package coretest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"embed"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

//go:embed testdata/adapter/*.txtar
var adapterCases embed.FS

// rewrite makes the suite write the replies into the case files instead of
// comparing them. It only works in this package's own test.
var rewrite = flag.Bool("update", false, "rewrite the golden replies of coretest.Adapter")

// A Target is a running program that serves package app.
type Target struct {
	URL    string // its root
	Secret string // of the authenticated sender

	// MaxBodyBytes is the largest body that the platform lets through, if that is
	// less than core accepts. Default 0: no limit.
	MaxBodyBytes int
}

// Adapter checks that a platform's adapter neither adds nor loses anything: it
// sends requests to the target and compares the replies byte for byte with the
// golden ones, which are the same on every platform. Each case is a text file
// in testdata/adapter that names the rule it guards. The target serves package
// app; the cases book appointments, so the store must be empty.
func Adapter(t *testing.T, target Target) {
	t.Helper()
	files, err := adapterCases.ReadDir("testdata/adapter")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(f.Name(), ".txtar"), func(t *testing.T) {
			data, err := adapterCases.ReadFile(path.Join("testdata/adapter", f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			adapterCase(t, target, f.Name(), txtar.Parse(data))
		})
	}
	for _, c := range generatedCases {
		t.Run(c.name, func(t *testing.T) {
			body := c.body()
			if target.MaxBodyBytes > 0 && len(body) > target.MaxBodyBytes {
				t.Skipf("NOT RUN: the platform rejects bodies over %d bytes before they reach the adapter", target.MaxBodyBytes)
			}
			send := func(encoding string, body []byte) string {
				head := "POST " + cmp.Or(c.path, "/events") + "\ncontent-type: application/json\nx-interactly-secret: " + target.Secret
				if encoding != "" {
					head += "\ncontent-encoding: " + encoding
				}
				return string(exchange(t, target, append([]byte(head+"\n\n"), body...)))
			}
			want := c.want
			if want == asPlain {
				want = send("", []byte(plainSlots))
			}
			if got := send(c.encoding, body); got != want {
				t.Errorf("%s\ngot  %s\nwant %s", c.why, got, want)
			}
		})
	}
}

// adapterCase sends the requests of one file in order.
func adapterCase(t *testing.T, target Target, name string, a *txtar.Archive) {
	if len(a.Files)%2 != 0 || len(a.Comment) == 0 {
		t.Fatal("a case is a comment with its reason, then pairs of request and reply")
	}
	for i := 0; i < len(a.Files); i += 2 {
		request := bytes.ReplaceAll(a.Files[i].Data, []byte("{{secret}}"), []byte(target.Secret))
		got := exchange(t, target, bytes.TrimSuffix(request, []byte("\n")))
		got = append(got, '\n')
		if *rewrite {
			a.Files[i+1].Data = got
			continue
		}
		if want := a.Files[i+1].Data; !bytes.Equal(got, want) {
			t.Errorf("%sstep %d\ngot  %s\nwant %s", a.Comment, i/2+1, got, want)
		}
	}
	if *rewrite {
		if err := os.WriteFile(path.Join("testdata/adapter", name), txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// compared are the header fields of a reply that are part of the promise; the
// platform may add others.
var compared = []string{"Content-Type", "Allow", "Retry-After", "Idempotent-Replayed"}

// exchange sends a request written as "METHOD target", header lines, an empty
// line and the body, and returns the reply in the same form. The bytes go over
// the connection as they are written, so that no HTTP client normalizes them.
func exchange(t *testing.T, target Target, request []byte) []byte {
	t.Helper()
	head, body, _ := bytes.Cut(request, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	u, err := url.Parse(target.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n", lines[0], u.Host)
	for _, l := range lines[1:] {
		fmt.Fprintf(&b, "%s\r\n", l)
	}
	if len(body) > 0 || !strings.HasPrefix(lines[0], "GET ") {
		fmt.Fprintf(&b, "content-length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	go func() { _, _ = conn.Write(b.Bytes()) }() // a rejection may arrive before the body is sent
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no reply: %v", err)
	}
	defer resp.Body.Close()
	replyBody, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatalf("reply cut off: %v", err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d\n", resp.StatusCode)
	for _, name := range compared {
		if v := resp.Header.Values(name); len(v) > 0 {
			fmt.Fprintf(&out, "%s: %s\n", strings.ToLower(name), strings.Join(v, ", "))
		}
	}
	fmt.Fprintf(&out, "\n%s", replyBody)
	return out.Bytes()
}

// Command coldgcp measures the start, first and warm replies of the function that is
// deployed to Google Cloud Functions, and of a bare function of the same framework.
// Google's emulators replace Firestore and Pub/Sub. The latencies are those of this
// machine, not of Google Cloud.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serverurl/serverurl/gcp/emulate"
)

const (
	rounds = 21
	warm   = 40
	secret = "5a0b6b1e94c7f2d83e17aa49c05d62fb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A subject is a program and what it is asked.
type subject struct {
	name, program, path, body    string
	inits, firsts, warms, memory []float64 // ms; MB
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "serverurl-cold-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	programs, err := emulate.Build(ctx, "..", dir)
	if err != nil {
		return err
	}
	hello := filepath.Join(dir, "hello")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", hello, "./hellogcp")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	db, err := emulate.StartFirestore(ctx, io.Discard)
	if err != nil {
		return err
	}
	defer db.Close()
	q, err := emulate.StartPubSub(ctx, io.Discard)
	if err != nil {
		return err
	}
	defer q.Close()
	if err := put(ctx, "http://"+q.Host+"/v1/projects/cold/topics/events"); err != nil {
		return err
	}
	env := []string{"FIRESTORE_EMULATOR_HOST=" + db.Host, "PUBSUB_EMULATOR_HOST=" + q.Host, "GOOGLE_CLOUD_PROJECT=cold", "SERVERURL_TOPIC=events",
		"SERVERURL_SECRET=" + secret, "FUNCTION_TARGET=Receive", "PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	ours := programs["Receive"]
	subjects := []*subject{
		{name: "bare hello of the framework", program: hello, path: "/", body: "{}"},
		{name: "serverurl, a tool without a store", program: ours, path: "/tools/opening_hours", body: "{}"},
		{name: "serverurl, a tool that reads", program: ours, path: "/tools/find_open_slots", body: `{"date":"2035-07-17"}`},
		{name: "serverurl, an event", program: ours, path: "/events", body: `{"message":{"type":"status-update","call":{"id":"CA-1","status":"ongoing"}}}`},
	}
	for n := range rounds + 1 {
		for _, s := range subjects {
			if err := s.round(ctx, env); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if n == 0 { // the emulators are warm from here on
				s.inits, s.firsts, s.warms, s.memory = nil, nil, nil, nil
			}
		}
	}
	fmt.Printf("%-36s %8s %8s %8s %8s %8s\n", "median of "+strconv.Itoa(rounds), "start ms", "first ms", "warm ms", "RSS MB", "file MB")
	for _, s := range subjects {
		info, err := os.Stat(s.program)
		if err != nil {
			return err
		}
		fmt.Printf("%-36s %8.2f %8.2f %8.2f %8.1f %8.1f\n", s.name, median(s.inits), median(s.firsts), median(s.warms), median(s.memory), float64(info.Size())/1e6)
	}
	return nil
}

// round is one start and the requests after it.
func (s *subject) round(ctx context.Context, env []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	host := l.Addr().String()
	_, port, _ := net.SplitHostPort(host)
	if err := l.Close(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, s.program)
	cmd.Env = append(env, "PORT="+port, "SERVERURL_ADDR=127.0.0.1:"+port)
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for {
		conn, err := net.Dial("tcp", host)
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Since(start) > 10*time.Second {
			return errors.New("it does not listen")
		}
		time.Sleep(100 * time.Microsecond)
	}
	s.inits = append(s.inits, ms(time.Since(start)))
	for n := range warm + 1 {
		began := time.Now()
		if err := s.ask(ctx, "http://"+host); err != nil {
			return err
		}
		if n == 0 {
			s.firsts = append(s.firsts, ms(time.Since(began)))
		} else {
			s.warms = append(s.warms, ms(time.Since(began)))
		}
	}
	s.memory = append(s.memory, rss(cmd.Process.Pid))
	return nil
}

func (s *subject) ask(ctx context.Context, root string) error {
	r, err := http.NewRequestWithContext(ctx, "POST", root+s.path, strings.NewReader(s.body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Interactly-Secret", secret)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", resp.Status, said)
	}
	return err
}

// rss returns the memory of a process in MB, if /proc has it.
func rss(pid int) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 64)
			return n / 1000
		}
	}
	return 0
}

func put(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, "PUT", url, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

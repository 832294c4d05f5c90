package emulate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
	"github.com/serverurl/serverurl/vercel/emulate"
)

const (
	secret     = "5a0b6b1e94c7f2d83e17aa49c05d62fb"
	cronSecret = "1f0e2d3c4b5a69788796a5b4c3d2e1f0"
)

func TestMain(m *testing.M) {
	temp, err := os.MkdirTemp("", "serverurl-vercel-test-")
	if err != nil {
		panic(err)
	}
	os.Setenv("TMPDIR", temp) // what the tests build goes with them
	pgtest.Main(around{m, temp})
}

// around runs the tests, looks for what they left, and removes what they built.
type around struct {
	m    *testing.M
	temp string
}

func (a around) Run() int {
	defer os.RemoveAll(a.temp)
	code := a.m.Run()
	if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/serverurl/serverurl/internal/testing/pgtest.(*Cluster).startOnce.func1")); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// project is the folder with vercel.json of each mode.
var project = map[emulate.Mode]string{emulate.Standalone: ".", emulate.Function: "examples/vercel-function"}

// builds are what Vercel's CLI makes, built once.
var builds = map[emulate.Mode]func() (string, error){
	emulate.Standalone: sync.OnceValues(func() (string, error) { return build(emulate.Standalone) }),
	emulate.Function:   sync.OnceValues(func() (string, error) { return build(emulate.Function) }),
}

// build builds without a network where that can be had, and with secrets in
// the environment, which are not to be found in what it makes.
func build(mode emulate.Mode) (string, error) {
	cli, err := emulate.FindCLI(context.Background(), io.Discard)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "build-")
	if err != nil {
		return "", err
	}
	os.Setenv("SERVERURL_SECRET", secret)
	os.Setenv("CRON_SECRET", cronSecret)
	b := emulate.Build{CLI: cli, Dir: "../..", Project: project[mode], Env: []string{"GOPROXY=off"}}
	if exec.Command("unshare", "-n", "true").Run() == nil {
		b.Wrapper = []string{"unshare", "-n"}
	}
	return b.Run(context.Background(), filepath.Join(dir, "new"))
}

// built returns the output of a mode's build. Where npm is not, the test is
// skipped aloud; in CI it fails.
func built(t testing.TB, mode emulate.Mode) string {
	t.Helper()
	output, err := builds[mode]()
	if errors.Is(err, emulate.ErrNoCLI) && os.Getenv("CI") != "true" {
		t.Skipf("NOT RUN: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// env is the environment of a program on a database.
func env(database string) []string {
	return []string{"SERVERURL_SECRET=" + secret, "CRON_SECRET=" + cronSecret, "SERVERURL_DATABASE_URL=" + database}
}

// start runs the emulator until the test ends, and returns its URL.
func start(t *testing.T, o emulate.Options) (url string) {
	t.Helper()
	out, in := io.Pipe()
	log := new(safeBuffer)
	o.Addr, o.Stdout, o.Log = "127.0.0.1:0", in, log
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- emulate.Run(ctx, o); in.Close() }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
		all := log.String()
		if strings.Contains(all, secret) || strings.Contains(all, cronSecret) {
			t.Error("a secret is in the log")
		}
		if t.Failed() {
			for line := range strings.Lines(all) { // what went wrong, of thousands of lines
				if strings.Contains(line, "ERROR") || strings.Contains(line, "WARN") || !strings.Contains(line, "INFO") {
					t.Logf("%.300s", line)
				}
			}
		}
	})
	said := make(chan string, 1)
	go func() {
		var all bytes.Buffer
		b := make([]byte, 1024)
		for {
			n, err := out.Read(b)
			all.Write(b[:n])
			if before, rest, ok := strings.Cut(all.String(), "listening on "); ok && strings.HasSuffix(rest, "\n") {
				t.Log(strings.TrimSpace(before))
				said <- strings.TrimSpace(rest)
				_, _ = io.Copy(io.Discard, out)
				return
			}
			if err != nil {
				close(said)
				return
			}
		}
	}()
	url, ok := <-said
	if !ok {
		t.Fatalf("no server: %v\n%s", <-ended, log)
	}
	return url
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// eachMode runs a test on the output of both modes.
func eachMode(t *testing.T, f func(t *testing.T, o emulate.Options)) {
	for _, mode := range emulate.Modes {
		t.Run(string(mode), func(t *testing.T) {
			f(t, emulate.Options{Mode: mode, Output: built(t, mode), Freeze: true, Cron: time.Hour})
		})
	}
}

// What Vercel's CLI makes gives the golden bytes in both modes, though its
// instances are frozen after each reply.
func TestAdapter(t *testing.T) {
	eachMode(t, func(t *testing.T, o emulate.Options) {
		o.Env = env(pgtest.Open(t))
		coretest.Adapter(t, coretest.Target{URL: start(t, o), Secret: secret, MaxBodyBytes: 4_500_000})
	})
}

// Nothing but the folder public is published, and no secret is anywhere in
// what a build makes.
func TestOutputHoldsNoSourceAndNoSecret(t *testing.T) {
	for _, mode := range emulate.Modes {
		t.Run(string(mode), func(t *testing.T) {
			output := built(t, mode)
			published, all := 0, 0
			err := filepath.WalkDir(output, func(file string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				all++
				rel, err := filepath.Rel(output, file)
				if err != nil {
					return err
				}
				b, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				if bytes.Contains(b, []byte(secret)) || bytes.Contains(b, []byte(cronSecret)) {
					t.Errorf("%s holds a secret", rel)
				}
				if strings.HasPrefix(rel, "static"+string(filepath.Separator)) {
					published++
					if filepath.Base(rel) != "robots.txt" {
						t.Errorf("%s is published", rel)
					}
				}
				return nil
			})
			if err != nil || published != 1 || all < 4 {
				t.Errorf("%d files, %d published, want the one of public: %v", all, published, err)
			}
		})
	}
}

// All that is not a file goes to the program, and the cron comes: what the
// platform reads of a build says so.
func TestOutputSendsEverythingToTheProgram(t *testing.T) {
	for mode, want := range map[emulate.Mode]string{emulate.Standalone: "/go", emulate.Function: "/api"} {
		t.Run(string(mode), func(t *testing.T) {
			var config struct {
				Routes []struct {
					Src    string `json:"src"`
					Dest   string `json:"dest"`
					Handle string `json:"handle"`
				} `json:"routes"`
				Crons []struct {
					Path     string `json:"path"`
					Schedule string `json:"schedule"`
				} `json:"crons"`
			}
			b, err := os.ReadFile(filepath.Join(built(t, mode), "config.json"))
			if err == nil {
				err = json.Unmarshal(b, &config)
			}
			if err != nil {
				t.Fatal(err)
			}
			filesFirst, found := false, false
			for _, r := range config.Routes {
				if r.Handle == "filesystem" {
					filesFirst = true
				}
				if dest, _, _ := strings.Cut(r.Dest, "?"); dest != want || r.Src == "" {
					continue
				}
				all, err := regexp.Compile(r.Src)
				if err != nil {
					t.Fatal(err)
				}
				found = found || all.MatchString("/tools/opening_hours")
			}
			if !filesFirst || !found {
				t.Errorf("routes: %s", b)
			}
			if len(config.Crons) != 1 || config.Crons[0].Path != "/cron" || config.Crons[0].Schedule != "* * * * *" {
				t.Errorf("crons: %+v", config.Crons)
			}
		})
	}
}

func runProgram(t *testing.T, program string, env []string) (said string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

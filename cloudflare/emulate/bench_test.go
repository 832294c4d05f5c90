package emulate_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/cloudflare/emulate"
	"github.com/serverurl/serverurl/internal/testing/testenv"
)

// BenchmarkWorkerd is what an event costs in workerd: ours, and a Worker in
// JavaScript with Hono that does the least of the same. The CPU time is that of
// the process; a cold one is the first request of a fresh process. In both the
// queue has no consumer of note: ours delivers to D1 meanwhile.
func BenchmarkWorkerd(b *testing.B) {
	path := ""
	for _, c := range []struct {
		name  string
		start func(b *testing.B) string
	}{
		{"ours", func(b *testing.B) string { return runBench(b, path) }},
		{"hono", runHono},
	} {
		if path == "" {
			path = b.TempDir() + "/worker.wasm"
			if err := emulate.Build(b.Context(), root, "./cmd/cloudflare", path); err != nil {
				b.Fatal(err)
			}
		}
		for _, size := range []int{2_000, 200_000} {
			b.Run(fmt.Sprintf("%s/%dkB", c.name, size/1000), func(b *testing.B) {
				url := c.start(b)
				sendEvent(b, url, -1, size)
				pid := workerdOf(b, url)
				before := cpu(b, pid)
				b.ResetTimer()
				for n := range b.N {
					sendEvent(b, url, n, size)
				}
				b.StopTimer()
				b.ReportMetric(float64((cpu(b, pid)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
				b.ReportMetric(float64(rss(pid))/1024, "MB")
			})
		}
		b.Run(c.name+"/cold", func(b *testing.B) {
			var spent, took time.Duration
			for n := range b.N {
				b.StopTimer()
				url := c.start(b)
				pid := workerdOf(b, url)
				before := cpu(b, pid)
				b.StartTimer()
				start := time.Now()
				sendEvent(b, url, n, 2_000)
				took += time.Since(start)
				spent += cpu(b, pid) - before
			}
			b.ReportMetric(float64(spent.Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(took.Microseconds())/1000/float64(b.N), "ms/op")
		})
	}
}

func sendEvent(b *testing.B, url string, n, size int) {
	b.Helper()
	body := fmt.Sprintf(`{"message":{"type":"conversation-update","call":{"id":"CA-%d","status":"ongoing"},"messages":[{"messageId":"1","role":"user","text":"%s"}]}}`,
		n, strings.Repeat("An answer. ", (size-150)/11))
	status, said, err := send(b.Context(), url+"/events", body)
	if err != nil || status != 200 {
		b.Fatalf("%d %s %v", status, said, err)
	}
}

func runBench(b *testing.B, wasm string) string {
	url, _ := run(b, emulate.Options{WASM: wasm})
	return url
}

func runHono(b *testing.B) string {
	b.Helper()
	node := testenv.Program(b, "node")
	if err := emulate.Install(b.Context(), root, io.Discard); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(node, root+"/cloudflare/testdata/bench.mjs", secret)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out := new(safeBuffer)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, rest, ok := strings.Cut(out.String(), "listening on "); ok && strings.HasSuffix(rest, "\n") {
			return strings.TrimSpace(rest)
		}
	}
	b.Fatal("no server in a minute")
	return ""
}

// cpu is the CPU time that a process has used.
func cpu(b *testing.B, pid string) time.Duration {
	b.Helper()
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

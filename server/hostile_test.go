package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
)

// raw sends bytes as they are to the process and returns the first response's
// status and body; status 0 is a connection that was closed without one.
func raw(t *testing.T, root, request string) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(root, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	go func() { _, _ = io.WriteString(conn, request) }() // it may be cut off in the middle
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// Requests that no honest sender makes, byte for byte, at the real program: it
// refuses each in constant words, and answers the next as if nothing had been.
func TestHostileBytes(t *testing.T) {
	p := startProcess(t, freshSQLite(t))
	const host = "Host: desk.test\r\n"
	who := "X-Interactly-Secret: " + testSecret + "\r\nContent-Type: application/json\r\n"
	post := func(more, body string) string {
		return "POST /events HTTP/1.1\r\n" + host + who + more + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body
	}
	const event = `{"message":{"type":"hang","call":{"id":"CA1"}}}`
	smuggled := "POST /tools/book_appointment HTTP/1.1\r\n" + host + who + "Content-Length: 2\r\n\r\n{}"
	for _, c := range []struct {
		why, request string
		want         []int
	}{
		{"a sound event", post("", event), []int{200}},
		{"both lengths: the body's end is a matter of taste", "POST /events HTTP/1.1\r\n" + host + who + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, []int{400}},
		{"two lengths", "POST /events HTTP/1.1\r\n" + host + who + "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}", []int{400}},
		{"a length that is no number", "POST /events HTTP/1.1\r\n" + host + who + "Content-Length: +2\r\n\r\n{}", []int{400}},
		{"an unknown transfer encoding", "POST /events HTTP/1.1\r\n" + host + who + "Transfer-Encoding: xchunked\r\n\r\n{}", []int{501}},
		{"a chunk of a negative size", "POST /events HTTP/1.1\r\n" + host + who + "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n", []int{400, 0}},
		{"a folded header", "POST /events HTTP/1.1\r\n" + host + "X-Interactly-Secret: a\r\n " + testSecret + "\r\nContent-Length: 2\r\n\r\n{}", []int{400, 401}},
		{"a space before the colon", "POST /events HTTP/1.1\r\n" + host + "X-Interactly-Secret : " + testSecret + "\r\nContent-Length: 2\r\n\r\n{}", []int{400}},
		{"a NUL in a header", "POST /events HTTP/1.1\r\n" + host + "X-A: a\x00b\r\nContent-Length: 2\r\n\r\n{}", []int{400}},
		{"two hosts", "POST /events HTTP/1.1\r\n" + host + host + who + "Content-Length: 2\r\n\r\n{}", []int{400}},
		{"headers of 64 kB", "POST /events HTTP/1.1\r\n" + host + "X-A: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", []int{431, 0}},
		{"gzip that is cut off", post("Content-Encoding: gzip\r\n", "\x1f\x8b\x08\x00"), []int{415}},
		{"JSON with two wrong labels", post("Content-Encoding: br\r\nContent-Encoding: gzip\r\n", event), []int{200}},
		{"another media type", strings.Replace(post("", event), "application/json", "text/xml", 1), []int{200}},
		{"a wrong charset", strings.Replace(post("", event), "application/json", "application/json; charset=utf-16", 1), []int{200}},
		{"more than the cap", "POST /events HTTP/1.1\r\n" + host + who + "Content-Length: 7000000\r\n\r\n", []int{413}},
		{"more than the cap, in chunks", "POST /events HTTP/1.1\r\n" + host + who + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("100000\r\n"+strings.Repeat("x", 1<<20)+"\r\n", 7), []int{413, 0}},
		{"65 deep", post("", `{"message":{"type":"hang","call":{"id":"CA1"},"a":`+strings.Repeat("[", 65)+strings.Repeat("]", 65)+`}}`), []int{400}},
		{"a million deep, never closed", post("", strings.Repeat("[", 1<<20)), []int{400}},
		{"too many tokens", post("", `{"message":[`+strings.Repeat("{},", 1<<20)+`1]}`), []int{400}},
		{"a name twice", post("", `{"message":{"type":"hang","type":"error","call":{"id":"CA1"}}}`), []int{400, 200}},
		{"a number of 100,000 digits", post("", `{"message":{"type":"hang","call":{"id":"CA1"},"n":`+strings.Repeat("9", 100_000)+`}}`), []int{400}},
		{"an exponent of a billion", post("", `{"message":{"type":"hang","call":{"id":"CA1"},"n":1e1000000000}}`), []int{200}},
		{"a lone surrogate", post("", `{"message":{"type":"hang","call":{"id":"CA1"},"s":"\ud800"}}`), []int{200, 400}},
		{"bytes that are no UTF-8", post("", "{\"message\":{\"type\":\"hang\",\"call\":{\"id\":\"CA1\"},\"s\":\"\xff\xfe\"}}"), []int{200, 400}},
		{"a string of 2 MB", post("", `{"message":{"type":"hang","call":{"id":"CA1"},"s":"`+strings.Repeat("a", 2<<20)+`"}}`), []int{400}},
		{"a path that climbs", "POST /tools/../../etc/passwd HTTP/1.1\r\n" + host + who + "Content-Length: 2\r\n\r\n{}", []int{404, 301, 307}},
		{"a method of its own", "BREW /events HTTP/1.1\r\n" + host + who + "Content-Length: 0\r\n\r\n", []int{405}},
		{"a proxy's request", "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", []int{404, 405, 400}},
		{"HTTP/0.9", "GET /\r\n", []int{400}},
		{"TLS on a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", []int{400, 0}},
	} {
		status, body := raw(t, p.root, c.request)
		ok := false
		for _, w := range c.want {
			ok = ok || status == w
		}
		if !ok {
			t.Errorf("%s: status %d %.100q, want %v", c.why, status, body, c.want)
		}
		if strings.Contains(body, testSecret) || strings.Contains(body, "goroutine") || len(body) > 200 {
			t.Errorf("%s: a stranger is told %q", c.why, body)
		}
		if status, body := raw(t, p.root, post("", event)); status != 200 || body != "{}" {
			t.Fatalf("after %s: %d %q", c.why, status, body)
		}
	}
}

// 200 senders that never come to an end of their headers keep nobody else
// waiting, and are sent away.
func TestSlowHeaders(t *testing.T) {
	p := startProcess(t, freshSQLite(t))
	var slow []net.Conn
	for range 200 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.root, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST /events HTTP/1.1\r\nHost: desk.test\r\nX-A: "); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, conn)
	}
	if status, body, err := post(http.DefaultClient, p.root+"/events", `{"message":{"type":"hang","call":{"id":"CA1"}}}`); status != 200 {
		t.Fatalf("an honest sender: %d %s %v", status, body, err)
	}
	var wg sync.WaitGroup
	for _, conn := range slow {
		wg.Go(func() {
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Minute))
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("it may stay: %v", err)
			}
		})
	}
	wg.Wait()
}

// 64 bodies of 6 MB at once, each made to be large when it is decoded, do not take
// the memory of a small machine.
func TestMemoryUnderHostileBodies(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("NOT RUN: the peak of a process is read from /proc")
	}
	p := startProcess(t, freshSQLite(t))
	body := `{"message":[` + strings.Repeat("{},", 2<<20-10) + `1]}`
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if status, _, err := post(http.DefaultClient, p.root+"/events", body); status != 400 && status != 503 {
				t.Errorf("status %d, %v", status, err)
			}
		})
	}
	wg.Wait()
	checkPeak(t, p)
}

// checkPeak fails where the program has ever had more than 512 MB.
func checkPeak(t *testing.T, p *process) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	kb, err := strconv.Atoi(string(regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(data)[1]))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the program's peak is %d MB", kb>>10)
	if kb > 512<<10 {
		t.Errorf("the program's peak is %d MB, want 512 at the most", kb>>10)
	}
}

// 32 valid events of nearly 6 MB at once, four times what may be in memory: each
// is stored or refused with a response that its sender receives, and so are the
// small events that arrive with them. SERVERURL_TEST_RUSH=256 is the burst of P12.
func TestMemoryUnderLoad(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("NOT RUN: the peak of a process is read from /proc")
	}
	url := freshSQLite(t)
	p := startProcess(t, url)
	messages := strings.Repeat(`{"messageId":"m","role":"user","text":"`+strings.Repeat("An answer. ", 500)+`"},`, 1000)
	var acked sync.Map
	var took, refused atomic.Int64
	var wg sync.WaitGroup
	rush := 32
	if n, err := strconv.Atoi(os.Getenv("SERVERURL_TEST_RUSH")); err == nil {
		rush = n
	}
	for i := range rush {
		wg.Go(func() {
			id := fmt.Sprintf("CA-rush%d", i)
			body := `{"message":{"type":"end-of-call-report","call":{"id":"` + id + `"},"messages":[` + messages + `{}]}}`
			if i%4 == 3 {
				body = hangs(id)
			}
			req, _ := http.NewRequest("POST", p.root+"/events", strings.NewReader(body))
			req.Header.Set("X-Interactly-Secret", testSecret)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Errorf("%s: no answer: %v", id, err)
				return
			}
			defer resp.Body.Close()
			switch {
			case resp.StatusCode == 200:
				took.Add(1)
				acked.Store(id, true)
			case resp.StatusCode == 503:
				refused.Add(1)
				if resp.Header.Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
			default:
				t.Errorf("%s: %d", id, resp.StatusCode)
			}
		})
	}
	wg.Wait()
	t.Logf("%d accepted, %d told to come again", took.Load(), refused.Load())
	if status, reply, err := post(http.DefaultClient, p.root+"/events", hangs("CA-after")); status != 200 {
		t.Errorf("after the rush: %d %s %v", status, reply, err)
	}
	if missing := notStored(t, url, &acked); len(missing) > 0 || took.Load() == 0 {
		t.Errorf("of %d that were acknowledged %v are missing", took.Load(), missing)
	}
	db := open(t, url)
	acked.Range(func(id, _ any) bool { // until all are delivered
		for end := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			if _, err := calls.Read(t.Context(), db.Store(), event.CallID(id.(string))); err == nil {
				return true
			} else if time.Now().After(end) {
				t.Errorf("%s: %v", id, err)
				return false
			}
		}
	})
	checkPeak(t, p)
}

package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The program is replaced three times under load, on a socket that stays open:
// no event fails, and each that was acknowledged is stored.
func TestRestartUnderLoad(t *testing.T) {
	eachDatabase(t, func(t *testing.T, fresh func(testing.TB) string) {
		url := fresh(t)
		socket, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		file, err := socket.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		root := "http://" + socket.Addr().String()
		socket.Close() // the file keeps it open, as a supervisor does
		passed := func(p *process) { p.ExtraFiles = append(p.ExtraFiles, file) }
		start := func() *process {
			path, err := release()
			if err != nil {
				t.Fatal(err)
			}
			return startWith(t, path, url, passed, "LISTEN_FDS=1", "SERVERURL_SHUTDOWN_DELAY=1s")
		}
		p := start()

		var acked sync.Map
		var sent, failed atomic.Int64
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for sender := range 8 {
			client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			wg.Go(func() {
				defer client.CloseIdleConnections()
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					id := fmt.Sprintf("CA-%d-%d", sender, i)
					req, _ := http.NewRequest("POST", root+"/events", io.NopCloser(strings.NewReader(hangs(id)))) // no second try by the client
					req.ContentLength = int64(len(hangs(id)))
					req.Header.Set("X-Interactly-Secret", testSecret)
					sent.Add(1)
					resp, err := client.Do(req)
					if err != nil || resp.StatusCode != 200 {
						failed.Add(1)
						t.Errorf("%s: %v %v", id, resp, err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					acked.Store(id, true)
				}
			})
		}
		for range 3 {
			before := sent.Load()
			for sent.Load() < before+50 && failed.Load() == 0 {
				time.Sleep(10 * time.Millisecond)
			}
			next := start()
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := p.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, p.stderr)
			}
			p = next
		}
		close(stop)
		wg.Wait()
		if missing := notStored(t, url, &acked); len(missing) > 0 {
			t.Errorf("%d of %d were acknowledged and are neither stored nor waiting", len(missing), sent.Load())
		}
	})
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/serverurl/serverurl/simulate"
)

type sendCommand struct {
	Event string `arg:"" help:"A file with a body, - for standard input, or a type: status-update, conversation-update, hang, error, end-of-call-report, tool-calls, function-call."`
	targetFlags
	Set  []string `help:"Change a value of a sample, such as message.call.status=finished." placeholder:"PATH=VALUE" sep:"none"`
	Show bool     `help:"Print the body instead of sending it."`
}

func (*sendCommand) Help() string {
	return `Posts one event to URL/events, and prints status, time and reply. Exits 1 when the
status is not 2xx.

Examples:
  serverurl send hang --to http://127.0.0.1:8080
  serverurl send status-update --to http://127.0.0.1:8080 --set message.call.status=finished --set message.call.id=CA1
  serverurl send captured.json --to http://127.0.0.1:8080 --secret "$SECRET"`
}

func (c *sendCommand) Run(ctx context.Context, t *terminal) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	if c.Show {
		_, err := fmt.Fprintf(t.out, "%s\n", body)
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	r, err := post(ctx, http.MethodPost, c.targetFlags, "/events", body)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%d  %.1f ms  %s\n", r.status, float64(r.took.Microseconds())/1000, r.body)
	if r.status < 200 || r.status > 299 {
		return errFailed
	}
	return nil
}

func (c *sendCommand) body() ([]byte, error) {
	if slices.Contains(simulate.EventTypes, c.Event) {
		set := map[string]string{}
		for _, s := range c.Set {
			path, value, ok := strings.Cut(s, "=")
			if !ok {
				return nil, usageError{fmt.Errorf("--set %s: want PATH=VALUE, such as message.call.status=finished", s)}
			}
			set[path] = value
		}
		body, err := simulate.SampleEvent(c.Event, set)
		if err != nil {
			return nil, usageError{err}
		}
		return body, nil
	}
	if len(c.Set) > 0 {
		return nil, usageError{fmt.Errorf("--set changes samples; %s is sent as it is", c.Event)}
	}
	if c.Event == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, 64<<20))
	}
	body, err := os.ReadFile(c.Event)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s is neither a file that can be read nor a type of event; types are %s", c.Event, strings.Join(simulate.EventTypes, ", "))}
	}
	return body, nil
}

// answer is what a server said.
type answer struct {
	status int
	body   []byte
	took   time.Duration
}

// post makes one request, as the sender does.
func post(ctx context.Context, method string, to targetFlags, path string, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(to.To, "/")+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, usageError{fmt.Errorf("--to %s: not a URL, such as http://127.0.0.1:8080", to.To)}
	}
	req.Header.Set("Content-Type", "application/json")
	if to.Secret != "" {
		req.Header.Set("X-Interactly-Secret", to.Secret)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("no answer from %s: is the server running? (%w)", to.To, err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return answer{}, fmt.Errorf("the answer of %s was cut off: %w", to.To, err)
	}
	return answer{resp.StatusCode, said, time.Since(start)}, nil
}

package main

import (
	"bytes"
	"cmp"
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

// sendCommand posts one event: a file, standard input, or a sample of a type.
type sendCommand struct {
	Event string `arg:"" help:"A file with a body, - for standard input, or a type: status-update, conversation-update, hang, error, end-of-call-report, tool-calls, function-call."`
	targetFlags
	Set  []string `help:"Change a value of a sample, such as message.call.status=finished." placeholder:"PATH=VALUE" sep:"none"`
	Show bool     `help:"Print the body instead of sending it."`
}

func (*sendCommand) Help() string {
	return `Posts one event to URL/events, and prints status, time and reply. Exits 1 when the
status is not 2xx. A URL that ends in /events is the same; to one that ends in
/tools/NAME the body is posted as it is: the arguments of the tool.

Examples:
  serverurl send hang --url http://127.0.0.1:8080
  serverurl send status-update --url http://127.0.0.1:8080 --set message.call.status=finished --set message.call.id=CA1
  serverurl send arguments.json --url http://127.0.0.1:8080/tools/find_open_slots
  serverurl send captured.json --url http://127.0.0.1:8080 --secret-file secret.txt`
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
	to, err := c.target()
	if err != nil {
		return err
	}
	r, err := post(ctx, http.MethodPost, to, cmp.Or(to.tool, "/events"), body)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%d  %.1f ms  %s\n", r.status, float64(r.took.Microseconds())/1000, r.body)
	if r.status < 200 || r.status > 299 {
		return errFailed
	}
	return nil
}

// body returns what to send. A file is sent byte for byte, valid or not: bodies that
// a backend must refuse are tried with it too.
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

// A reply is what a server replied.
type reply struct {
	status int
	body   []byte
	took   time.Duration
}

// post makes one request as Interactly does: once, with the secret in its header,
// and without following redirects, because the sender does not follow any.
func post(ctx context.Context, method string, to target, path string, body []byte) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, to.url+path, bytes.NewReader(body))
	if err != nil {
		return reply{}, usageError{fmt.Errorf("--url %s: not a URL, such as http://127.0.0.1:8080", to.url)}
	}
	req.Header.Set("Content-Type", "application/json")
	if to.secret != "" {
		req.Header.Set("X-Interactly-Secret", to.secret)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, fmt.Errorf("no answer from %s: is the server running? (%w)", to.url, err)
	}
	defer resp.Body.Close()
	received, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return reply{}, fmt.Errorf("the answer of %s was cut off: %w", to.url, err)
	}
	return reply{resp.StatusCode, received, time.Since(start)}, nil
}

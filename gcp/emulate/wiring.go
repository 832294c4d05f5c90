package emulate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
)

// services are what stands in for Firestore and Pub/Sub.
type services struct {
	what    string   // for the user
	env     []string // for the functions
	closers []func() error
}

func (s *services) close() {
	for _, c := range s.closers {
		_ = c()
	}
}

// openServices opens what there is, with a subscription that pushes to the URL.
func (o Options) openServices(ctx context.Context, push string) (*services, error) {
	db, q := o.getenv("FIRESTORE_EMULATOR_HOST"), o.getenv("PUBSUB_EMULATOR_HOST")
	switch {
	case db != "" && q != "":
		s := &services{what: "store: Google's Firestore emulator at " + db + ", inbox: Google's Pub/Sub emulator at " + q}
		return s, o.subscribe(ctx, q, push)
	case db != "" || q != "":
		return nil, errors.New("emulate: set both FIRESTORE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST, or neither")
	case o.Embedded:
		return o.openStandins(ctx, push)
	}
	s, err := o.openEmulators(ctx)
	switch {
	case errors.Is(err, ErrNoEmulators):
		return o.openStandins(ctx, push)
	case err != nil:
		return nil, err
	}
	if err := o.subscribe(ctx, strings.TrimPrefix(s.env[1], "PUBSUB_EMULATOR_HOST="), push); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (o Options) openEmulators(ctx context.Context) (*services, error) {
	firestore, err := StartFirestore(ctx, o.Log)
	if err != nil {
		return nil, err
	}
	pubsub, err := StartPubSub(ctx, o.Log)
	if err != nil {
		return nil, errors.Join(err, firestore.Close())
	}
	return &services{
		what:    "store: Google's Firestore emulator, inbox: Google's Pub/Sub emulator, both in memory",
		env:     []string{"FIRESTORE_EMULATOR_HOST=" + firestore.Host, "PUBSUB_EMULATOR_HOST=" + pubsub.Host},
		closers: []func() error{firestore.Close, pubsub.Close},
	}, nil
}

// openStandins builds and starts the stand-ins, which are not a part of this
// program because of all that they need.
func (o Options) openStandins(ctx context.Context, push string) (_ *services, err error) {
	dir, err := os.MkdirTemp("", "serverurl-fake-")
	if err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	s := &services{
		what:    "store: a stand-in for Firestore in memory, inbox: a stand-in for Pub/Sub in memory (not Google's emulators: " + missing(o.Embedded) + ")",
		closers: []func() error{func() error { return os.RemoveAll(dir) }},
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	program := filepath.Join(dir, "fake")
	if _, err := goCommand(ctx, o.Dir, "build", "-o", program, "./gcp/emulate/fake"); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-project", o.Project, "-topic", topic, "-push", push, "-retry", o.Retry.String())
	cmd.Stderr, cmd.SysProcAttr = o.Log, attributes()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	s.closers = append([]func() error{func() error {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		return cmd.Wait()
	}}, s.closers...)
	lines := bufio.NewScanner(stdout)
	for _, name := range []string{"firestore", "pubsub"} {
		if !lines.Scan() {
			return nil, errors.New("emulate: the stand-ins did not start; the log says why")
		}
		s.env = append(s.env, strings.ToUpper(name)+"_EMULATOR_HOST="+strings.TrimPrefix(lines.Text(), name+" "))
	}
	return s, nil
}

// missing says why the stand-ins are used.
func missing(wanted bool) string {
	if wanted {
		return "--embedded"
	}
	return "they are not on this machine"
}

// subscribe makes the topics and the subscription of deploy.sh on Google's
// emulator, or points the subscription that is there at the URL.
func (o Options) subscribe(ctx context.Context, host, push string) error {
	wait := fmt.Sprintf("%.3fs", o.Retry.Seconds())
	return subscribe(ctx, "http://"+host+"/v1/", "projects/"+o.Project, push, wait)
}

type object = map[string]any

// subscribe makes the topics and the subscription of deploy.sh, or points the
// one that is there at another URL.
func subscribe(ctx context.Context, root, project, push, wait string) error {
	full := func(kind, name string) string { return project + "/" + kind + "/" + name }
	for _, name := range []string{topic, topic + "-dead"} {
		if err := put(ctx, root+full("topics", name), object{}); err != nil {
			return err
		}
	}
	// The emulator keeps the dead-letter policy and does not follow it.
	err := put(ctx, root+full("subscriptions", topic+"-dead"), object{"topic": full("topics", topic+"-dead"), "ackDeadlineSeconds": 60})
	if err != nil {
		return err
	}
	err = put(ctx, root+full("subscriptions", subscription), object{
		"topic": full("topics", topic), "ackDeadlineSeconds": 60,
		"pushConfig":       object{"pushEndpoint": push},
		"retryPolicy":      object{"minimumBackoff": wait, "maximumBackoff": wait},
		"deadLetterPolicy": object{"deadLetterTopic": full("topics", topic+"-dead"), "maxDeliveryAttempts": 20},
	})
	if err != nil {
		return err
	}
	return request(ctx, "POST", root+full("subscriptions", subscription)+":modifyPushConfig", object{"pushConfig": object{"pushEndpoint": push}})
}

// errConflict reports that there is one already.
var errConflict = errors.New("emulate: there is one already")

func put(ctx context.Context, url string, body object) error {
	if err := request(ctx, "PUT", url, body); err != nil && !errors.Is(err, errConflict) {
		return err
	}
	return nil
}

func request(ctx context.Context, method, url string, body object) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("emulate: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("emulate: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("emulate: %w", err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
	switch {
	case resp.StatusCode == http.StatusConflict:
		return errConflict
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("emulate: the emulator answers %s to %s %s: %s", resp.Status, method, url[strings.Index(url, "/v1/"):], said)
	}
	return nil
}

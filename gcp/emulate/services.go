package emulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// services are what stands in for Firestore and Pub/Sub.
type services struct {
	what      string   // for the user
	env       []string // for the functions
	closers   []func() error
	subscribe func(ctx context.Context, push string, retry time.Duration) error // begins to push to a URL
}

func (s *services) close() {
	for _, c := range s.closers {
		_ = c()
	}
}

func (o Options) openServices(ctx context.Context) (*services, error) {
	db, q := o.getenv("FIRESTORE_EMULATOR_HOST"), o.getenv("PUBSUB_EMULATOR_HOST")
	switch {
	case db != "" && q != "":
		return (&services{what: "store: Google's Firestore emulator at " + db + ", inbox: Google's Pub/Sub emulator at " + q}).on(o.Project, q), nil
	case db != "" || q != "":
		return nil, errors.New("emulate: set both FIRESTORE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST, or neither")
	case o.Embedded:
		return o.openStandins(ctx)
	}
	firestore, err := StartFirestore(ctx, o.Log)
	if errors.Is(err, ErrNoEmulators) {
		return o.openStandins(ctx)
	}
	if err != nil {
		return nil, err
	}
	pubsub, err := StartPubSub(ctx, o.Log)
	if err != nil {
		_ = firestore.Close()
		if errors.Is(err, ErrNoEmulators) {
			return o.openStandins(ctx)
		}
		return nil, err
	}
	s := &services{
		what:    "store: Google's Firestore emulator, inbox: Google's Pub/Sub emulator, both in memory",
		env:     []string{"FIRESTORE_EMULATOR_HOST=" + firestore.Host, "PUBSUB_EMULATOR_HOST=" + pubsub.Host},
		closers: []func() error{firestore.Close, pubsub.Close},
	}
	return s.on(o.Project, pubsub.Host), nil
}

// on makes topic and subscription on the emulator of Pub/Sub at host.
func (s *services) on(project, host string) *services {
	s.subscribe = func(ctx context.Context, push string, retry time.Duration) error {
		wait := fmt.Sprintf("%.3fs", retry.Seconds())
		return subscribe(ctx, "http://"+host+"/v1/", "projects/"+project, push, wait)
	}
	return s
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
var errConflict = errors.New("emulate: Pub/Sub has one")

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
		return fmt.Errorf("emulate: Pub/Sub: %w", err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
	switch {
	case resp.StatusCode == http.StatusConflict:
		return errConflict
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("emulate: Pub/Sub answers %s to %s %s: %s", resp.Status, method, url[strings.Index(url, "/v1/"):], said)
	}
	return nil
}

// openStandins will use stand-ins in memory.
func (o Options) openStandins(context.Context) (*services, error) { return nil, ErrNoEmulators }

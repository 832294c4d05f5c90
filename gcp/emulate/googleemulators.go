package emulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// ErrNoEmulators reports that Google's emulators are not on this machine.
var ErrNoEmulators = errors.New("emulate: Google's emulators are not here; " +
	"try: gcloud components install cloud-firestore-emulator pubsub-emulator (and Java), or apt-get install of google-cloud-cli-firestore-emulator google-cloud-cli-pubsub-emulator")

// An Emulator is a process that stands in for a service of Google's. It only
// listens on loopback.
type Emulator struct {
	Host string // HOST:PORT

	cmd *exec.Cmd
}

// StartFirestore starts Google's emulator of Firestore, empty, in memory, and
// uses it until it is quick: a backend does not wait for a slow store.
func StartFirestore(ctx context.Context, log io.Writer) (*Emulator, error) {
	e, err := startFirestore(ctx, log)
	if err != nil {
		return nil, err
	}
	if err := e.warm(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// warm reads and writes in a project of its own, 20 times quickly in a row, or
// for a while.
func (e *Emulator) warm(ctx context.Context) error {
	const database = "projects/serverurl-warm/databases/(default)"
	write := func(name string, exists bool, n int) object {
		doc := object{"name": database + "/documents/warm/" + name, "fields": object{"v": object{"bytesValue": "MQ=="}, "r": object{"integerValue": fmt.Sprint(n)}}}
		return object{"update": doc, "currentDocument": object{"exists": exists}}
	}
	quick, began := 0, time.Now()
	for n := 0; quick < 20 && time.Since(began) < 10*time.Second; n++ {
		start, name := time.Now(), fmt.Sprint("d", n)
		for _, step := range []struct {
			verb string
			body object
		}{
			{":commit", object{"writes": []object{write(name, false, n), write(name+"-too", false, n)}}},
			{":batchGet", object{"documents": []string{database + "/documents/warm/" + name}}},
			{":commit", object{"writes": []object{write(name, true, -n)}}},
			{":runQuery", object{"structuredQuery": object{"from": []object{{"collectionId": "warm"}}, "limit": 10}}},
		} {
			if err := request(ctx, "POST", "http://"+e.Host+"/v1/"+database+"/documents"+step.verb, step.body); err != nil {
				return err
			}
		}
		if quick++; time.Since(start) > 50*time.Millisecond {
			quick = 0
		}
	}
	return nil
}

func startFirestore(ctx context.Context, log io.Writer) (*Emulator, error) {
	return startJar(ctx, log, "platform/cloud-firestore-emulator/cloud-firestore-emulator*.jar", func(jar string) []string {
		// As its own script does, which would stay between us and the process.
		return []string{"-Duser.language=en", "-cp", jar, "com.google.cloud.datastore.emulator.firestore.CloudFirestore", "start"}
	})
}

// StartPubSub starts Google's emulator of Pub/Sub, empty, in memory.
func StartPubSub(ctx context.Context, log io.Writer) (*Emulator, error) {
	return startJar(ctx, log, "platform/pubsub-emulator/lib/cloud-pubsub-emulator*.jar", func(jar string) []string {
		return []string{"-jar", jar}
	})
}

func startJar(ctx context.Context, log io.Writer, pattern string, args func(jar string) []string) (*Emulator, error) {
	root, err := sdkRoot(ctx)
	if err != nil {
		return nil, err
	}
	jars, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(jars) == 0 {
		return nil, ErrNoEmulators
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, ErrNoEmulators
	}
	var failed error
	for range 5 { // somebody else may take the port in between
		e, err := start(ctx, log, java, args(jars[len(jars)-1]))
		if err == nil {
			return e, nil
		}
		failed = err
	}
	return nil, failed
}

func start(ctx context.Context, log io.Writer, java string, args []string) (*Emulator, error) {
	host, err := freePort()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(host)
	e := &Emulator{Host: host, cmd: exec.Command(java, append(args, "--host=127.0.0.1", "--port="+port)...)}
	e.cmd.Stdout, e.cmd.Stderr, e.cmd.SysProcAttr = log, log, attributes()
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	if err := answers(ctx, "http://"+host); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Close ends the process, and with it all that it holds.
func (e *Emulator) Close() error {
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait() // killed is how it ends
	return nil
}

// freePort is an address that nobody listens on for now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("emulate: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// patience is how long a process may take to answer for the first time.
const patience = time.Minute

// answers waits until anything answers at the URL.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		if err != nil {
			return fmt.Errorf("emulate: %w", err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("emulate: nothing answers at %s: %w", url, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// sdkRoot is where the Google Cloud SDK is.
func sdkRoot(ctx context.Context) (string, error) {
	gcloud, err := exec.LookPath("gcloud")
	if err != nil {
		return "", ErrNoEmulators
	}
	if gcloud, err = filepath.EvalSymlinks(gcloud); err == nil {
		root := filepath.Dir(filepath.Dir(gcloud))
		if _, err := os.Stat(filepath.Join(root, "platform")); err == nil {
			return root, nil
		}
	}
	out, err := exec.CommandContext(ctx, "gcloud", "info", "--format=value(installation.sdk_root)").Output()
	if err != nil || len(out) < 2 {
		return "", ErrNoEmulators
	}
	return string(out[:len(out)-1]), nil
}

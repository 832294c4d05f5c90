package emulate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core"
)

// A FileQueue is a queue of files, for a machine without SQS or a stand-in for
// it: a file for each event in queue/, and in dead/ those that failed
// [fileQueueAttempts] times. The bootstrap puts events there; the emulator feeds them
// to it again.
type FileQueue struct {
	dir string

	// Of the emulator only: when a message is due, and how often it came.
	due   map[string]time.Time
	tries map[string]int
}

const fileQueueAttempts = 5

var _ core.Inbox = (*FileQueue)(nil)

// OpenFileQueue opens a queue in dir, and makes it if there is none.
func OpenFileQueue(dir string) (*FileQueue, error) {
	for _, sub := range []string{"queue", "dead"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("emulate: %w", err)
		}
	}
	return &FileQueue{dir: dir, due: map[string]time.Time{}, tries: map[string]int{}}, nil
}

// Put implements [core.Inbox]. It is safe for concurrent use, in several
// processes too.
func (f *FileQueue) Put(_ context.Context, es ...core.Envelope) error {
	var ready [][2]string
	for _, e := range es {
		b, err := json.Marshal(e)
		if err != nil {
			return errors.New("emulate: envelope cannot be encoded")
		}
		sum := sha256.Sum256([]byte(e.ID))
		name := filepath.Join(f.dir, "queue", hex.EncodeToString(sum[:16]))
		temp, err := writeTemp(f.dir, b)
		if err != nil {
			return fmt.Errorf("emulate: %w", err)
		}
		ready = append(ready, [2]string{temp, name})
	}
	for _, r := range ready {
		if err := os.Rename(r[0], r[1]); err != nil {
			return fmt.Errorf("emulate: %w", err)
		}
	}
	return syncDir(filepath.Join(f.dir, "queue"))
}

func writeTemp(dir string, b []byte) (name string, err error) {
	file, err := os.CreateTemp(dir, "new-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(b); err != nil {
		return "", err
	}
	return file.Name(), file.Sync()
}

// syncDir makes a rename durable, where directories can be synced.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("emulate: %w", err)
	}
	_ = d.Sync()
	return d.Close()
}

// Decode implements aws.Decoder, for the bootstrap.
func (f *FileQueue) Decode(_ context.Context, body string) ([]core.Envelope, error) {
	var e core.Envelope
	if json.Unmarshal([]byte(body), &e) != nil {
		return nil, errors.New("emulate: message is not an envelope")
	}
	return []core.Envelope{e}, nil
}

// fileQueuePoll is how often the emulator looks for files.
const fileQueuePoll = 50 * time.Millisecond

func (f *FileQueue) receive(ctx context.Context) ([]message, error) {
	files, err := os.ReadDir(filepath.Join(f.dir, "queue"))
	if err != nil {
		return nil, err
	}
	var batch []message
	for _, file := range files {
		name := file.Name()
		if time.Now().Before(f.due[name]) {
			continue
		}
		path := filepath.Join(f.dir, "queue", name)
		if f.tries[name] >= fileQueueAttempts {
			if err := os.Rename(path, filepath.Join(f.dir, "dead", name)); err != nil {
				return batch, err
			}
			delete(f.tries, name)
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return batch, err
		}
		f.tries[name]++
		f.due[name] = time.Now().Add(time.Second << f.tries[name])
		batch = append(batch, message{ID: name, Receipt: name, Body: string(b), Source: "aws:sqs",
			ARN: "arn:aws:sqs:us-east-1:123456789012:emulated", Region: "us-east-1",
			Attributes: map[string]string{"ApproximateReceiveCount": strconv.Itoa(f.tries[name])}})
		if len(batch) == 10 {
			break
		}
	}
	if len(batch) == 0 {
		pause(ctx, fileQueuePoll)
	}
	return batch, nil
}

func (f *FileQueue) remove(_ context.Context, done []message) error {
	var errs []error
	for _, m := range done {
		if strings.ContainsAny(m.Receipt, `/\`) {
			continue
		}
		errs = append(errs, os.Remove(filepath.Join(f.dir, "queue", m.Receipt)))
		delete(f.due, m.Receipt)
		delete(f.tries, m.Receipt)
	}
	return errors.Join(errs...)
}

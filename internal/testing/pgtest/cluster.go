package pgtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options configure a server. The zero value of a field means its default.
type Options struct {
	// NoSync makes the server not wait for the disk: fast, but data is lost if the
	// machine stops. Stop(Immediate) loses none.
	NoSync bool

	// TCP makes the server listen on a free port of 127.0.0.1, the same after
	// each Start. Default: a socket in its own directory.
	TCP bool

	// Settings are those of postgresql.conf, such as "synchronous_commit": "off".
	Settings map[string]string
}

// A Mode is how a server is stopped.
type Mode syscall.Signal

// The modes, which are those of pg_ctl and a crash.
const (
	Fast      = Mode(syscall.SIGINT)  // ends sessions, writes a checkpoint
	Immediate = Mode(syscall.SIGQUIT) // drops everything; Start recovers
	Kill      = Mode(syscall.SIGKILL) // as when the machine runs out of memory
)

// A Cluster is a PostgreSQL server with its data. It is not safe for concurrent
// use.
type Cluster struct {
	dir    string
	port   int
	tcp    bool
	noSync bool
	set    map[string]string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// start creates a cluster and starts it.
func start(o *Options) (*Cluster, error) {
	if o == nil {
		o = new(Options)
	}
	dir, err := os.MkdirTemp(shortTemp(), "pgtest")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, port: 5432, tcp: o.TCP, noSync: o.NoSync, set: o.Settings}
	err = c.init()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		c.remove()
		return nil, err
	}
	return c, nil
}

// shortTemp returns a directory for sockets, whose paths are limited to about 100
// bytes.
func shortTemp() string {
	if _, err := os.Stat("/tmp"); err == nil {
		return "/tmp"
	}
	return os.TempDir()
}

func (c *Cluster) init() error {
	if err := chown(c.dir); err != nil {
		return err
	}
	initdb, err := binary("initdb")
	if err != nil {
		return err
	}
	cmd := exec.Command(initdb, "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.Dir, cmd.SysProcAttr = c.dir, attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if c.tcp {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		c.port = l.Addr().(*net.TCPAddr).Port
		return l.Close()
	}
	return nil
}

const (
	// startTime is how long failed starts are retried.
	startTime = time.Minute

	// stopTime bounds one start or stop that hangs.
	stopTime = 5 * time.Minute
)

// Start starts a stopped server and returns when it accepts queries.
func (c *Cluster) Start() error {
	if c.running() {
		return errors.New("server is running")
	}
	for end := time.Now().Add(startTime); ; time.Sleep(100 * time.Millisecond) {
		// After Kill, children of the old server may still be running.
		if err := c.startOnce(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

func (c *Cluster) startOnce() error {
	postgres, err := binary("postgres")
	if err != nil {
		return err
	}
	args := []string{"-D", c.data(), "-k", c.dir, "-p", strconv.Itoa(c.port), "-c", "max_connections=200"}
	if c.tcp {
		args = append(args, "-c", "listen_addresses=127.0.0.1")
	} else {
		args = append(args, "-c", "listen_addresses=")
	}
	if c.noSync {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	for k, v := range c.set {
		args = append(args, "-c", k+"="+v)
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(postgres, args...)
	cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = c.dir, attributes(), log, log

	started, done := make(chan error), make(chan struct{})
	go func() { // ends with the server; see attributes for why it keeps its thread
		defer close(done)
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	c.mu.Lock()
	c.cmd, c.done = cmd, done
	c.mu.Unlock()
	if err := c.wait(); err != nil {
		c.Stop(Immediate)
		return err
	}
	return nil
}

// wait returns when the server accepts queries.
func (c *Cluster) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.DSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.done:
			return fmt.Errorf("server ended at once:\n%s", c.logTail())
		case <-ctx.Done():
			return fmt.Errorf("server takes no queries: %w\n%s", err, c.logTail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop stops the server and waits until it has ended. It is not an error if it had
// ended before.
func (c *Cluster) Stop(m Mode) error {
	c.mu.Lock()
	cmd, done := c.cmd, c.done
	c.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(syscall.Signal(m)); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-done:
		return nil
	case <-time.After(stopTime):
		cmd.Process.Kill()
		<-done
		return errors.New("server did not stop in time and was killed")
	}
}

// DSN returns the connection string of a database: a URL without a password.
func (c *Cluster) DSN(database string) string {
	if c.tcp {
		return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", c.port, database)
	}
	return fmt.Sprintf("postgres://postgres@/%s?host=%s&port=%d&sslmode=disable", database, c.dir, c.port)
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *Cluster) running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return false
	}
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

func (c *Cluster) remove() {
	c.Stop(Immediate)
	os.RemoveAll(c.dir)
}

func (c *Cluster) logTail() []byte {
	b, _ := os.ReadFile(filepath.Join(c.dir, "log"))
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-15):], []byte("\n"))
}

// binary finds a program of PostgreSQL: in PATH, otherwise the newest in the
// directories of Debian and Homebrew.
func binary(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return filepath.EvalSymlinks(p)
	}
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/usr/pgsql-*/bin/", "/opt/homebrew/opt/postgresql@*/bin/"} {
		paths, _ := filepath.Glob(pattern + name)
		found = append(found, paths...)
	}
	if len(found) == 0 {
		return "", fmt.Errorf("no %s in PATH or /usr/lib/postgresql", name)
	}
	slices.SortFunc(found, func(a, b string) int { // "9.6" is before "15"
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	return found[len(found)-1], nil
}

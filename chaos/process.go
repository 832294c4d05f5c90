package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// secret is that of the authenticated sender.
const secret = "chaos-secret-5c1d7e9f20ab"

// A process is a running program.
type process struct {
	cmd     *exec.Cmd
	root    string
	serving time.Duration // from exec to the line that reports its address
	done    chan struct{} // closed when the process has ended
	err     error         // of Wait, after done
}

// startTime is how long a start may take before it counts as failed.
const startTime = 2 * time.Minute

// start runs the program with its log in log, and returns when it is listening.
func start(path string, log *os.File, args, env []string) (*process, error) {
	p := &process{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = log
	p.cmd.SysProcAttr = attributes()
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	started, listening := make(chan error, 1), make(chan string, 1)
	go func() { // ends with the process; it keeps its thread, see attributes
		defer close(p.done)
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		listening <- line
		_, _ = io.Copy(io.Discard, out)
		p.err = p.cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	select {
	case line := <-listening:
		root, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
		if !ok {
			<-p.done
			return nil, fmt.Errorf("the program did not start: %w", p.err)
		}
		p.root, p.serving = root, time.Since(began)
		return p, nil
	case <-time.After(startTime):
		p.kill()
		return nil, errors.New("the program did not start in time")
	}
}

// kill ends the process without a shutdown.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop shuts the process down as a deployment does. It returns an error unless the
// exit code is 0.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(time.Minute):
		p.kill()
		return errors.New("the program did not stop in a minute")
	}
}

// build builds a command of the module at dir.
func build(dir, pkg, out string, tags ...string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", strings.Join(tags, ","), "-o", out, pkg)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, output)
	}
	return nil
}

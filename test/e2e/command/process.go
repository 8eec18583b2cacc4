package command

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Bounds of a process under test.
const (
	patience  = 90 * time.Second // for anything awaited: the machine may be busy
	maxOutput = 256 << 20        // bytes kept of one stream
)

// Process is a running command.
type Process struct {
	Out, Err *Output
	cmd      *exec.Cmd
	done     chan struct{}
}

// Start runs the command. It ends with the test at the latest; environment is added to the test's own.
func Start(t testing.TB, path string, environment []string, args ...string) *Process {
	t.Helper()
	p := &Process{Out: newOutput(), Err: newOutput(), done: make(chan struct{})}
	p.cmd = exec.Command(path, args...) //nolint:noctx,gosec // Cleanup ends it, with SIGTERM first; the test names it
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.Stdout, p.cmd.Stderr = p.Out, p.Err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the state tells
		p.Out.end()
		p.Err.end()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			t.Logf("%v\nstderr: %s", args, tail(p.Err.String()))
		}
	})
	return p
}

func tail(text string) string {
	const most = 6000
	return text[max(0, len(text)-most):]
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Wait waits for the process's own end and returns its exit code.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		t.Errorf("the process did not end by itself")
	}
	if raceReported(p.Err.String()) {
		t.Errorf("data race:\n%s", p.Err.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Stop asks the process to end and waits until it has; it returns the exit code.
func (p *Process) Stop(t testing.TB) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	return p.Wait(t)
}

// Await waits until the process has printed each of the texts to stderr.
func (p *Process) Await(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		p.Err.Await(t, text, 1)
	}
}

// Output is what a process prints.
type Output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
	ended   bool
}

func newOutput() *Output {
	return &Output{changed: make(chan struct{})}
}

func (o *Output) locked(do func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	do()
}

// Write keeps what was printed.
func (o *Output) Write(p []byte) (int, error) {
	o.locked(func() {
		if o.text.Len()+len(p) <= maxOutput {
			o.text.Write(p)
		}
		close(o.changed)
		o.changed = make(chan struct{})
	})
	return len(p), nil
}

func (o *Output) end() {
	o.locked(func() {
		o.ended = true
		close(o.changed)
		o.changed = make(chan struct{})
	})
}

// String is everything so far.
func (o *Output) String() (text string) {
	o.locked(func() { text = o.text.String() })
	return text
}

// Count is how often a text was printed so far.
func (o *Output) Count(text string) (n int) {
	o.locked(func() { n = bytes.Count(o.text.Bytes(), []byte(text)) })
	return n
}

// Await waits until a text was printed n times. Each piece of output is looked at once, however much there is.
func (o *Output) Await(t testing.TB, text string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for from, got := 0, 0; ; {
		var changed chan struct{}
		var ended bool
		o.locked(func() {
			changed, ended = o.changed, o.ended
			news := o.text.Bytes()[from:]
			for i := bytes.Index(news, []byte(text)); i >= 0; i = bytes.Index(news, []byte(text)) {
				got++
				news = news[i+len(text):]
			}
			from = o.text.Len() - min(len(news), len(text)-1) // the beginning of one more may have come
		})
		switch {
		case got >= n:
			return
		case ended:
			t.Fatalf("the process ended and had printed %q %d times, not %d:\n%s", text, got, n, tail(o.String()))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("printed %q %d times, not %d:\n%s", text, got, n, tail(o.String()))
		}
	}
}

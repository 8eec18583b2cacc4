package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// grace is how long a process has to end by itself once it is asked to.
const grace = 3 * time.Second

// process is a program that runs until it is stopped, pinned to one core, in a process group of its own.
type process struct {
	name   string
	cmd    *exec.Cmd
	cancel context.CancelFunc
	done   chan struct{} // closed once it has ended
	log    string        // the file that has its standard output
	errs   string        // the file that has its standard error
}

// start starts a program on a core. Its output goes to NAME.log and NAME.err in folder.
func start(ctx context.Context, folder, name string, core int, environment []string, program string, args ...string) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &process{name: name, cancel: cancel, done: make(chan struct{}), log: folder + "/" + name + ".log", errs: folder + "/" + name + ".stderr"}
	// taskset becomes the program, so that the process id is the program's.
	p.cmd = exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(core), program}, args...)...) //nolint:gosec // the programs are this package's own
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that a terminal's interrupt reaches us alone, and we stop all of them
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM) }
	p.cmd.WaitDelay = grace
	if err := p.run(); err != nil {
		cancel()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// run opens the files, starts the program and waits for its end in the background.
func (p *process) run() error {
	// For appending: the log is cut short after each measurement while it is written.
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	errs, err := os.OpenFile(p.errs, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer errs.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, errs
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended matters only where it should not have, and ended says that
	}()
	return nil
}

// stop ends the process and returns once it has ended.
func (p *process) stop() {
	p.cancel()
	<-p.done
}

// ended is an error with what the process wrote last, where it has ended; otherwise nil.
func (p *process) ended() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	const most = 2000
	text, _ := os.ReadFile(p.errs) // an unreadable file says as much as an empty one
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return fmt.Errorf("%s ended (%s): %s", p.name, p.cmd.ProcessState, strings.TrimSpace(string(text)))
}

// await calls try until it succeeds, the process has ended, or 10 seconds are over.
func (p *process) await(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("not ready within 10 seconds"))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if ended := p.ended(); ended != nil {
			return ended
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", p.name, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// freePorts are ports of the loopback interface that nothing listens on.
func freePorts(ctx context.Context, count int) ([]int, error) {
	var ports []int
	for range count {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer listener.Close() // all stay open until the last is found, so that none is found twice
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

package apiserver

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

const maxTail = 2000 // bytes of a log that an error quotes

// process is one that we started. It ends with us, however we end.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed once the process has ended
	err  error         // how; set before done is closed
}

// launch starts a command that writes to a log file.
func launch(log, command string, args ...string) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p := &process{cmd: exec.Command(command, args...), log: log, done: make(chan struct{})} //nolint:noctx // end ends it, and not a context
	p.cmd.Stdout, p.cmd.Stderr = file, file
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The signal comes when the thread ends that started the process: this one lives as long as the process does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	return p, <-started
}

// ended says whether the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end kills the process, whose data nobody will miss, and waits for its end.
func (p *process) end() error {
	if p.ended() {
		return p.failure()
	}
	err := p.cmd.Process.Kill()
	<-p.done
	return err
}

// failure is how the process ended by itself, and the end of its log.
func (p *process) failure() error {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	tail := bytes.TrimSpace(log[max(0, len(log)-maxTail):])
	return fmt.Errorf("%s ended by itself (%v): %s", filepath.Base(p.cmd.Path), p.err, tail)
}

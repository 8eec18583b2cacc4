package proxy

import (
	"errors"
	"io"
	"testing"
)

// Whoever leaves a read loses nothing of what it brings: the next one gets it.
func TestAheadKeepsWhatNobodyWaitedFor(t *testing.T) {
	in, out := io.Pipe()
	a := newAhead(in)
	read := func(want string, cause error) {
		t.Helper()
		room := make([]byte, 4)
		n, err := a.Read(room)
		if string(room[:n]) != want || !errors.Is(err, cause) {
			t.Errorf("read %q, %v, want %q, %v", room[:n], err, want, cause)
		}
	}
	left := make(chan struct{})
	go func() { defer close(left); read("", errLeft) }()
	a.leave()
	<-left
	read("", errLeft)
	a.resume()
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_, _ = io.WriteString(out, "hello")
		_ = out.CloseWithError(io.ErrUnexpectedEOF)
	}()
	read("hell", nil)
	a.leave()
	read("o", nil) // what is there costs no wait
	a.resume()
	read("", io.ErrUnexpectedEOF)
	read("", io.ErrUnexpectedEOF)
	<-wrote
}

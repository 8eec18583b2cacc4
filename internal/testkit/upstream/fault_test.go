package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
)

func startFault(t *testing.T, config FaultConfig) *Fault {
	t.Helper()
	f, err := NewFault(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestFaults(t *testing.T) {
	f := newFixture(t)
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		fault := func(kind Kind, heads int, check func(body string, err error) bool) {
			t.Helper()
			config := FaultConfig{Kind: kind}
			if secure {
				config.Certificate = f.server
			}
			far := startFault(t, config)
			_, body, err := get(patience(t), t, f.client(t, nil), far.URL())
			if !check(body, err) {
				t.Errorf("%s, kind %d: body of %d bytes, error %v", name, kind, len(body), err)
			}
			if err := far.WaitClosed(patience(t), 1); err != nil {
				t.Error(err)
			}
			if far.Heads() != heads {
				t.Errorf("%s, kind %d: %d requests counted, want %d", name, kind, far.Heads(), heads)
			}
		}
		fault(AcceptClose, 0, func(_ string, err error) bool { return err != nil })
		fault(ResetAfterHead, 1, func(_ string, err error) bool { return errors.Is(err, syscall.ECONNRESET) })
		fault(CutBody, 1, func(body string, err error) bool { return len(body) == 100 && errors.Is(err, io.ErrUnexpectedEOF) })
		fault(CutChunked, 1, func(body string, err error) bool { return len(body) == 100 && errors.Is(err, io.ErrUnexpectedEOF) })
		fault(CloseAfterHead, 1, func(_ string, err error) bool { return errors.Is(err, io.EOF) })
		fault(CutContinue, 1, func(_ string, err error) bool { return err != nil })
		fault(CutHead, 1, func(_ string, err error) bool { return err != nil && strings.Contains(err.Error(), "malformed") })
		fault(CutTrailers, 1, func(body string, err error) bool { return len(body) == 100 && err != nil })
		fault(Garbage, 1, func(_ string, err error) bool { return err != nil && strings.Contains(err.Error(), "malformed") })
		fault(PlainText, 0, func(_ string, err error) bool {
			var not tls.RecordHeaderError
			return errors.As(err, &not) || err != nil && strings.Contains(err.Error(), "HTTP response to HTTPS client")
		})
	}
}

func TestSilentHearsEverything(t *testing.T) {
	f := newFixture(t)
	far := startFault(t, FaultConfig{Kind: Silent, Certificate: f.server})
	ctx, cancel := context.WithCancel(patience(t))
	done := make(chan error, 1)
	client := f.client(t, nil)
	go func() {
		_, _, err := get(ctx, t, client, far.URL())
		done <- err
	}()
	if _, err := far.WaitRequest(patience(t), 1); err != nil {
		t.Fatal(err)
	}
	if far.Open() != 1 {
		t.Error("the connection is not open")
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestFaultKindIsChecked(t *testing.T) {
	for _, kind := range []Kind{0, PlainText + 1} {
		if _, err := NewFault(FaultConfig{Kind: kind}); err == nil {
			t.Errorf("started kind %d", kind)
		}
	}
}

package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func startHTTP2Fault(t *testing.T, config HTTP2FaultConfig) *HTTP2Fault {
	t.Helper()
	f, err := NewHTTP2Fault(config)
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

// attempt posts once, on a connection of its own. The body cannot be read again, so that the client repeats nothing.
func attempt(t *testing.T, fix fixture, url string) (status int, body string, err error) {
	t.Helper()
	client := fix.speaking(t, "2c")
	request, err := http.NewRequestWithContext(patience(t), http.MethodPost, url, io.MultiReader(strings.NewReader("hello")))
	if err != nil {
		t.Fatal(err)
	}
	response, body, err := do(client, request)
	client.CloseIdleConnections()
	if response != nil {
		status = response.StatusCode
	}
	return status, body, err
}

func TestHTTP2Faults(t *testing.T) {
	fix := newFixture(t)
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		f := func(kind HTTP2Kind, heads, status, length int, check func(error) bool) {
			t.Helper()
			config := HTTP2FaultConfig{Kind: kind, First: 1}
			if secure {
				config.Certificate = fix.server
			}
			far := startHTTP2Fault(t, config)
			got, body, err := attempt(t, fix, far.URL())
			if got != status || len(body) != length || !check(err) {
				t.Errorf("%s, kind %d: status %d, body of %d bytes, error %v", name, kind, got, len(body), err)
			}
			if far.Heads() != heads {
				t.Errorf("%s, kind %d: %d requests counted, want %d", name, kind, far.Heads(), heads)
			}
			if got, body, err := attempt(t, fix, far.URL()); got != 200 || body != "served" || err != nil {
				t.Errorf("%s, kind %d, second: status %d, body %q, error %v", name, kind, got, body, err)
			}
		}
		any := func(err error) bool { return err != nil }
		none := func(err error) bool { return err == nil }
		code := func(want http2.ErrCode) func(error) bool {
			return func(err error) bool { return err != nil && strings.Contains(err.Error(), want.String()) }
		}
		f(NoSettings, 0, 0, 0, any)
		f(RefuseStream, 1, 0, 0, code(http2.ErrCodeRefusedStream))
		f(GoAwayBelow, 1, 0, 0, any)
		f(GoAwayCovering, 1, 0, 0, any)
		f(HangUp, 1, 0, 0, any)
		f(AbortAtHead, 1, 0, 0, any)
		f(ResetStream, 1, 0, 0, code(http2.ErrCodeInternal))
		f(EarlyAnswer, 1, 200, 100, none)
		f(ResetAnswer, 1, 200, 0, code(http2.ErrCodeInternal))
		f(ResetBody, 1, 200, 100, code(http2.ErrCodeInternal))
		f(ResetTrailers, 1, 200, 100, code(http2.ErrCodeInternal))
		f(HangUpBody, 1, 200, 100, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) })
		f(ShortBody, 1, 200, 100, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) })
		f(Hint, 1, 200, 100, none)
	}
	for _, kind := range []HTTP2Kind{0, BadHead + 1} {
		if _, err := NewHTTP2Fault(HTTP2FaultConfig{Kind: kind}); err == nil {
			t.Errorf("started kind %d", kind)
		}
	}
}

// TestBadHeads holds which malformed heads net/http takes: whoever builds on it has these to find himself.
func TestBadHeads(t *testing.T) {
	fix := newFixture(t)
	taken := []string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "two lengths", "length of letters", "status of two digits"}
	for name, fields := range BadHeads() {
		far := startHTTP2Fault(t, HTTP2FaultConfig{Kind: BadHead, Fields: fields})
		status, _, err := attempt(t, fix, far.URL())
		if (err == nil) != slices.Contains(taken, name) || far.Heads() != 1 {
			t.Errorf("%s: status %d, error %v, %d requests", name, status, err, far.Heads())
		}
	}
}

// TestKeepsWaiting: kinds that answer nothing hear all the same, and the connection lives as long as the client wants.
func TestKeepsWaiting(t *testing.T) {
	fix := newFixture(t)
	f := func(kind HTTP2Kind, length int, whole bool) {
		t.Helper()
		far := startHTTP2Fault(t, HTTP2FaultConfig{Kind: kind, Certificate: fix.server})
		ctx, cancel := context.WithCancel(patience(t))
		ended := make(chan error, 1)
		client := fix.speaking(t, "2")
		go func() {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, far.URL(), strings.NewReader(strings.Repeat("x", length)))
			if err == nil {
				_, _, err = do(client, request)
			}
			ended <- err
		}()
		if err := far.Wait(patience(t), func() bool {
			seen := far.Requests()
			return len(seen) == 1 && (seen[0].Complete || !whole)
		}); err != nil {
			t.Errorf("kind %d: %v", kind, err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("kind %d: %v", kind, err)
		}
		if far.Requests()[0].Complete != whole {
			t.Errorf("kind %d: whole is %t", kind, !whole)
		}
	}
	f(Unanswered, 100_000, true)
	f(Deaf, 5, true)
	f(NoCredit, 100_000, false)
}

package watch

import (
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection and its entry, with the causes that its waits were ended for.
func pair(t *testing.T, s *Sweeper) (client net.Conn, e *Entry, ended chan Cause) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := server.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	ended = make(chan Cause, 10)
	e = s.Add(raw, func(c Cause) { ended <- c })
	t.Cleanup(func() { e.Remove(); _ = client.Close(); _ = server.Close() })
	return client, e, ended
}

func sweeper(t *testing.T) *Sweeper {
	s := New()
	t.Cleanup(s.Close)
	return s
}

func want(t *testing.T, ended chan Cause, cause Cause) {
	t.Helper()
	select {
	case got := <-ended:
		if got != cause {
			t.Errorf("ended by %d, want %d", got, cause)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("not ended")
	}
}

func TestAShortWaitEnds(t *testing.T) {
	_, e, ended := pair(t, sweeper(t))
	e.Begin(0)
	e.Arm(StreamIdleTimeout, 20*time.Millisecond)
	want(t, ended, StreamIdleTimeout)
	if e.Cause() != StreamIdleTimeout {
		t.Error("the cause is not kept")
	}
	if e.Attach(nil) {
		t.Error("an ended wait takes another upstream")
	}
}

// An attempt's end closes its upstream connection and nothing else: the exchange goes on.
func TestAnAttemptEndsAlone(t *testing.T) {
	f := func(cause Cause, begin func(*Entry)) {
		t.Helper()
		_, e, ended := pair(t, sweeper(t))
		e.Begin(0)
		closed := make(chan struct{})
		e.Attach(closing(func() { close(closed) }))
		begin(e)
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			t.Fatal("the upstream was not closed")
		}
		if e.Cause() != cause {
			t.Errorf("cause %d, want %d", e.Cause(), cause)
		}
		e.Try(0)
		if !e.Attach(closing(func() {})) || e.Cause() != None {
			t.Error("the next attempt suffers for the last")
		}
		e.Stop(ClientGone)
		want(t, ended, ClientGone)
	}
	f(FirstByteTimeout, func(e *Entry) { e.Arm(FirstByteTimeout, 20*time.Millisecond) })
	f(AttemptTimeout, func(e *Entry) { e.Try(20 * time.Millisecond) })
}

// A client that takes nothing of its answer is bounded by the silence, be the attempt's time over before.
func TestAnAttemptsEndLeavesTheClientsBound(t *testing.T) {
	_, e, ended := pair(t, sweeper(t))
	e.Begin(0)
	closed := make(chan struct{})
	e.Attach(closing(func() { close(closed) }))
	e.Arm(StreamIdleTimeout, 200*time.Millisecond)
	e.Try(20 * time.Millisecond)
	<-closed
	want(t, ended, StreamIdleTimeout)
}

type closing func()

func (c closing) Close() error { c(); return nil }

func TestTheNearerOfTwoDeadlinesCounts(t *testing.T) {
	f := func(arm, whole time.Duration, cause Cause) {
		t.Helper()
		_, e, ended := pair(t, sweeper(t))
		e.Begin(whole)
		e.Arm(StreamIdleTimeout, arm)
		want(t, ended, cause)
	}
	f(20*time.Millisecond, time.Second, StreamIdleTimeout)
	f(2*time.Second, 20*time.Millisecond, RequestTimeout)
	f(time.Hour, 20*time.Millisecond, RequestTimeout)
}

func TestALeavingClientIsNoticedWhileItsAnswerIsMade(t *testing.T) {
	s := sweeper(t)
	client, e, ended := pair(t, s)
	e.Begin(0)
	up, far := net.Pipe()
	defer far.Close()
	if !e.Attach(up) {
		t.Fatal("not attached")
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, ended, ClientGone)
	if _, err := far.Read(make([]byte, 1)); err == nil {
		t.Error("the upstream connection is still open")
	}
}

func TestAnEndedExchangeIsLeftAlone(t *testing.T) {
	client, e, ended := pair(t, sweeper(t))
	up, far := net.Pipe()
	defer far.Close()
	defer up.Close()
	e.Begin(30 * time.Millisecond)
	e.Attach(up)
	e.End()
	_ = client.Close()
	select {
	case c := <-ended:
		t.Errorf("ended by %d after its end", c)
	case <-time.After(3 * interval): // two sweeps at least have passed
	}
}

func TestStopIdleSparesExchanges(t *testing.T) {
	_, e, ended := pair(t, sweeper(t))
	e.Begin(0)
	e.StopIdle()
	e.End()
	if len(ended) != 0 {
		t.Error("an exchange was ended")
	}
	e.StopIdle()
	want(t, ended, Shutdown)
}

func TestStuck(t *testing.T) {
	var e Entry
	f := func(want bool) {
		t.Helper()
		if got := e.Stuck(); got != want {
			t.Errorf("after %d: %t", e.writes.Load(), got)
		}
	}
	f(false)
	e.Write()
	f(false)
	f(true)
	e.Write()
	f(false)
	f(false)
	e.Write()
	f(false)
	e.Write()
	e.Write() // another one
	f(false)
	f(true)
}

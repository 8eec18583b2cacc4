package provider

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
)

// Fault is what goes wrong with one request. The zero value is nothing.
type Fault struct {
	Kind       FaultKind
	Status     int    // that Refuse and Fail answer, and that error events speak of; zero is 503
	RetryAfter string // Retry-After with Refuse and Fail; empty: none is sent
}

// FaultKind is how and where a request goes wrong.
type FaultKind string

// The faults. Only Refuse and ErrorFirst come without an inference; every other one follows it, so that whoever repeats
// the request makes a second one. What concerns events does to an answer that is not streamed what is said in brackets.
const (
	Refuse      FaultKind = "refuse"       // an answer of Status in place of the inference
	ErrorFirst  FaultKind = "error first"  // a stream of 200 whose first event, or first after metadata, is an error, in place of the inference [Refuse]
	Fail        FaultKind = "fail"         // an answer of Status, which should be none that says that nothing was done
	StallHead   FaultKind = "stall head"   // silence, until the client leaves
	StallFirst  FaultKind = "stall first"  // silence after the head and the metadata [the head]
	StallMiddle FaultKind = "stall middle" // silence after half of the answer
	ResetHead   FaultKind = "reset head"   // the connection is reset, over HTTP/2 the stream
	ResetFirst  FaultKind = "reset first"  // the same after the head and the metadata [the head]
	ResetMiddle FaultKind = "reset middle" // the same after half of the answer
	ErrorMiddle FaultKind = "error middle" // an error event after half of the answer, which ends the stream [ResetMiddle]
	CutMiddle   FaultKind = "cut middle"   // half of the answer, and a regular end of the body [ResetMiddle]
)

// SetFail has each of the next requests that would be inferred go wrong as the function says. Nil is never.
func (p *Provider) SetFail(fail func(*http.Request) Fault) { p.fail.Store(&fail) }

func (p *Provider) fault(r *http.Request) Fault {
	if fail := p.fail.Load(); fail != nil && *fail != nil {
		return (*fail)(r)
	}
	return Fault{}
}

// failure is what the provider says of the fault, in its error's form.
func (f Fault) failure() *failure {
	status := cmp.Or(f.Status, http.StatusServiceUnavailable)
	said := &failure{status: status, kind: "api_error", message: "Emulated failure: " + strconv.Itoa(status) + ".", retryAfter: f.RetryAfter}
	switch status {
	case http.StatusTooManyRequests:
		said.kind, said.code = "rate_limit_error", "rate_limit_exceeded"
	case http.StatusServiceUnavailable, 529:
		said.kind = "overloaded_error"
	}
	return said
}

// execute counts an inference, and is where what goes wrong before the answer's head does. An endpoint calls it once,
// after its last check and before it writes.
func (c *call) execute(streamed bool) error {
	switch {
	case c.fault.Kind == Refuse, c.fault.Kind == ErrorFirst && !streamed:
		return c.fault.failure()
	case c.fault.Kind == ErrorFirst:
		return nil
	}
	c.provider.executions.Add(1)
	c.provider.config.Ledger.enter(c.r.Header.Get(LedgerField))
	c.executed = true
	switch c.fault.Kind {
	case Fail:
		return c.fault.failure()
	case StallHead:
		c.stall()
	case ResetHead:
		c.reset()
	}
	return nil
}

// write sends an answer that is not streamed.
func (c *call) write(body []byte) {
	part := len(body)
	if c.executed {
		switch c.fault.Kind {
		case StallFirst, ResetFirst:
			part = 0
		case StallMiddle, ResetMiddle, ErrorMiddle, CutMiddle:
			part /= 2
		}
	}
	_, _ = c.w.Write(body[:part]) // a client that left is no matter
	if part == len(body) {
		return
	}
	_ = http.NewResponseController(c.w).Flush()
	if c.fault.Kind == StallFirst || c.fault.Kind == StallMiddle {
		c.stall()
	}
	c.reset()
}

// atFirst is where a stream goes wrong that has told all but its answer.
func (s *stream) atFirst() {
	switch s.call.fault.Kind {
	case ErrorFirst:
		s.end()
	case StallFirst:
		s.call.stall()
	case ResetFirst:
		s.call.reset()
	}
}

// atMiddle is where a stream goes wrong that has told half of its answer.
func (s *stream) atMiddle() {
	switch s.call.fault.Kind {
	case ErrorMiddle:
		s.end()
	case CutMiddle:
		s.lost = true
	case StallMiddle:
		s.call.stall()
	case ResetMiddle:
		s.call.reset()
	}
}

// end sends an error event, and nothing after it.
func (s *stream) end() {
	s.fail(s.call.fault.failure())
	s.lost = true
}

// stall waits until the client has left, and does not return.
func (c *call) stall() {
	<-c.r.Context().Done()
	panic(http.ErrAbortHandler)
}

// reset breaks the answer off, and does not return. Over HTTP/1.1 the connection ends with a reset rather than a close.
func (c *call) reset() {
	if conn, ok := c.r.Context().Value(connKey{}).(*tls.Conn); ok && c.r.ProtoMajor == 1 {
		if tcp, ok := conn.NetConn().(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
	panic(http.ErrAbortHandler)
}

// connKey is where a request's context has its connection.
type connKey struct{}

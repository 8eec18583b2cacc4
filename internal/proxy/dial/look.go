//go:build unix

package dial

import "syscall"

// peek looks at a socket. The function is made once, so that a look allocates nothing.
type peek struct {
	look  func(fd uintptr)
	quiet bool
	one   [1]byte
}

// at finds out whether reading would wait: only then has the far side neither closed nor said anything.
func (p *peek) at(fd uintptr) {
	for {
		_, _, err := syscall.Recvfrom(int(fd), p.one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err == syscall.EINTR {
			continue
		}
		p.quiet = err == syscall.EAGAIN
		return
	}
}

// quiet reports whether an idle connection may carry a request: nothing unread is left of the last answer, neither in
// TLS nor in the socket, and the far side has not closed. Whatever comes unasked (an end, an alert, a 408) makes it unusable.
func (c *Conn) quiet() bool {
	if c.broken.Load() || c.closed.Load() {
		return false
	}
	if c.tls != nil && !c.emptied() || len(c.wire.early) > 0 {
		return false
	}
	if c.outer != nil {
		return c.outer.quiet()
	}
	c.peek.quiet = false
	return c.raw.Control(c.peek.look) == nil && c.peek.quiet
}

// emptied reports whether TLS holds nothing more. It is asked only where the last reads leave a doubt.
func (c *Conn) emptied() bool {
	records := &c.wire.records
	if !records.border() {
		return false
	}
	if !records.ahead && !c.full {
		return true
	}
	c.wire.probing = true
	n, err := c.tls.Read(c.peek.one[:])
	c.wire.probing = false
	if _, ok := err.(nothing); n > 0 || !ok { //nolint:errorlint // passed through as it is
		return false
	}
	records.ahead, c.full = false, false
	return true
}

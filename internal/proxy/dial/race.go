package dial

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// outcome is how one address fared.
type outcome struct {
	conn    *net.TCPConn
	address netip.AddrPort
	failure *Error
}

// race connects to the first address that answers: one after the other, the next as soon as one has failed or been
// refused, and at the latest 250 ms after the last was begun (RFC 8305, section 5). Losers are closed.
func (t *Target) race(ctx context.Context, list []netip.AddrPort) (*net.TCPConn, netip.AddrPort, *Error) {
	over, cancel := context.WithCancel(ctx)
	defer cancel()
	outcomes := make(chan outcome)
	next, running := 0, 0
	begin := func() {
		address := list[next]
		next++
		running++
		go t.try(over, address, outcomes)
	}
	begin()
	timer := time.NewTimer(stagger)
	defer timer.Stop()
	var failure *Error
	for {
		select {
		case o := <-outcomes:
			running--
			if o.failure == nil {
				return o.conn, o.address, nil
			}
			failure = worse(failure, o.failure)
			switch {
			case next < len(list):
				begin()
				timer.Reset(stagger)
			case running == 0:
				if ctx.Err() != nil {
					break
				}
				return nil, netip.AddrPort{}, failure
			}
		case <-timer.C:
			if next < len(list) {
				begin()
				timer.Reset(stagger)
			}
		case <-ctx.Done():
			e := ended(ctx)
			e.Address = list[next-1]
			return nil, netip.AddrPort{}, e
		}
	}
}

// worse is the failure to tell of: the first that was no refusal, else the first refusal.
func worse(first, next *Error) *Error {
	if first == nil || first.Refusal != nil && next.Refusal == nil {
		return next
	}
	return first
}

// try checks an address and connects to it: to what was checked, and nothing else.
func (t *Target) try(ctx context.Context, address netip.AddrPort, outcomes chan<- outcome) {
	o := outcome{address: address}
	if refusal := t.admit(ctx, address.Addr()); refusal != nil {
		o.failure = refused(refusal, address)
	} else if conn, err := t.dialer.net.DialTCP(ctx, "tcp", netip.AddrPort{}, address); err != nil {
		o.failure = &Error{Reason: exchange.ConnectFailed, Err: err, Address: address}
		if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() { // ctx's, or the kernel's own
			o.failure.Reason = exchange.ConnectTimeout
		}
		if op, ok := errors.AsType[*net.OpError](err); ok {
			o.failure.Err = op.Err // the address is said already
		}
		t.dialer.logger.LogAttrs(ctx, slog.LevelDebug, "address does not connect",
			slog.String("backend", t.Backend.Name), slog.String("address", address.String()), slog.Any("error", err))
		t.tell(ctx, address, policy.FaultConnect, o.failure)
	} else {
		o.conn = conn
	}
	select {
	case outcomes <- o:
	case <-ctx.Done():
		if o.conn != nil {
			_ = o.conn.Close()
		}
	}
}

package dial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/proxy/hop"
)

// The bounds of a parent's answer to CONNECT.
const (
	maxConnectHead = 8 << 10
	maxInterim     = 4
)

// Tunnel is the target as it is reached through its parent for those of whom hop tells: the value of an Ebbgate-Hop, which
// goes with the wish for each tunnel. Tunnels are exchanged for one another among the same words alone, since the parent
// takes all that comes through one for those clients' own. The pools are bounded like those of a wildcard's names.
func (t *Target) Tunnel(name, hop string) (*Target, error) {
	if !t.wild {
		name = t.Hostname
	}
	return t.one(name, hop)
}

// near is whose addresses are dialled.
func (t *Target) near() *Target {
	if t.Through != nil {
		return t.Through
	}
	return t
}

// tunnelled makes of a connection's socket a tunnel through the parent (RFC 9110, section 9.3.6): TLS with the parent, where
// it has that, and its consent. What is wrong closes the socket.
func (t *Target) tunnelled(ctx context.Context, c *Conn) *Error {
	outer, failure := t.Through.establish(ctx, c.socket, c.address, false)
	if failure != nil {
		return failure
	}
	stop := context.AfterFunc(ctx, func() { _ = outer.socket.Close() })
	early, err := t.ask(outer)
	if !stop() {
		_ = outer.socket.Close()
		failure = ended(ctx)
		failure.Address, failure.Err = c.address, fmt.Errorf("CONNECT: %w", failure.Err)
		return failure
	}
	if err != nil {
		_ = outer.Close()
		return &Error{Reason: exchange.ConnectFailed, Err: fmt.Errorf("CONNECT: %w", err), Address: c.address}
	}
	c.outer, c.wire.Conn, c.wire.early = outer, outer, early
	return nil
}

// ask asks the parent for the tunnel. What came behind its answer is the far end's already.
func (t *Target) ask(outer *Conn) (early []byte, err error) {
	var header exchange.Header
	if t.hop != "" {
		header.Add(hop.Name, t.hop)
	}
	authority := net.JoinHostPort(t.Hostname, strconv.Itoa(t.Port))
	head, _, err := http1.AppendRequest(nil, http1.RequestHead{
		Method: http.MethodConnect, Target: authority, Authority: authority, Header: &header, Length: exchange.LengthAbsent,
	})
	if err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	if _, err := outer.Write(head); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	reader := http1.NewReader(outer, http1.Limits{HeadBytes: maxConnectHead})
	defer reader.Reset(nil)
	var res exchange.Response
	for range maxInterim {
		if err := reader.ReadResponse(&res, http.MethodConnect); err != nil {
			return nil, fmt.Errorf("read the parent's answer: %w", err)
		}
		switch {
		case res.Status >= http.StatusMultipleChoices:
			return nil, fmt.Errorf("the parent %s answered %d %s", t.Through.Backend.Name, res.Status, http.StatusText(res.Status))
		case res.Status >= http.StatusOK:
			return bytes.Clone(reader.Buffered()), nil
		}
	}
	return nil, errors.New("too many interim answers of the parent")
}

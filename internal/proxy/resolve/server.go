package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/ebbgate/ebbgate/internal/policy"
)

// ask puts one question to one server: by UDP, again by TCP where the answer did not fit, and again without EDNS where
// the server knows none.
func ask(ctx context.Context, server policy.Resolver, q question) ([]netip.Addr, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	addresses, ttl, err := send(ctx, server, q, true)
	if errors.Is(err, errFormat) {
		addresses, ttl, err = send(ctx, server, q, false)
	}
	return addresses, ttl, err
}

func send(ctx context.Context, server policy.Resolver, q question, edns bool) ([]netip.Addr, time.Duration, error) {
	id, packet, err := q.pack(edns)
	if err != nil {
		return nil, 0, fmt.Errorf("pack question: %w", err)
	}
	if !server.TCP {
		addresses, ttl, err := overUDP(ctx, server.Address, q, id, packet)
		if !errors.Is(err, errTruncated) {
			return addresses, ttl, err
		}
	}
	return overTCP(ctx, server.Address, q, id, packet)
}

// overUDP sends from a port of its own and listens to the server's address alone; what does not answer the question is
// passed over until the time is up, so that a forged packet can only lose the race.
func overUDP(ctx context.Context, server netip.AddrPort, q question, id uint16, packet []byte) ([]netip.Addr, time.Duration, error) {
	conn, release, err := open(ctx, "udp", server)
	if err != nil {
		return nil, 0, err
	}
	defer release()
	if _, err := conn.Write(packet); err != nil {
		return nil, 0, fmt.Errorf("send: %w", cause(ctx, err))
	}
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, 0, fmt.Errorf("receive: %w", cause(ctx, err))
		}
		addresses, ttl, err := q.read(id, buffer[:n])
		if !errors.Is(err, errMismatch) {
			return addresses, ttl, err
		}
	}
}

// overTCP sends and reads one message with its length before it (RFC 1035, section 4.2.2).
func overTCP(ctx context.Context, server netip.AddrPort, q question, id uint16, packet []byte) ([]netip.Addr, time.Duration, error) {
	conn, release, err := open(ctx, "tcp", server)
	if err != nil {
		return nil, 0, err
	}
	defer release()
	framed := append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(packet)), uint16(len(packet))), packet...) //nolint:gosec // a question has at most 300 bytes
	if _, err := conn.Write(framed); err != nil {
		return nil, 0, fmt.Errorf("send: %w", cause(ctx, err))
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, 0, fmt.Errorf("receive: %w", cause(ctx, err))
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, message); err != nil {
		return nil, 0, fmt.Errorf("receive: %w", cause(ctx, err))
	}
	return q.read(id, message)
}

// open connects; release closes and lets go of ctx, whose end breaks any read or write.
func open(ctx context.Context, network string, server netip.AddrPort) (net.Conn, func(), error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, nil, fmt.Errorf("connect: %w", cause(ctx, err))
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return conn, func() {
		stop()
		_ = conn.Close()
	}, nil
}

// cause is the context's end where that is what broke an operation.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

package accept

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// endless answers for as long as it is taken.
type endless struct {
	small
	config *tls.Config
	begun  chan struct{} // closed once the answer has begun
}

func (e endless) TLS(string) (*TLS, bool) {
	if e.config == nil {
		return nil, true
	}
	return &TLS{Config: e.config, Peer: func(*tls.ConnectionState) string { return "" }}, true
}

func (e endless) Serve(c Client) {
	res := &c.Common().X.Response
	res.Status, res.Length = 200, 1<<40
	err := c.Begin(res, nil, false)
	for close(e.begun); err == nil; {
		err = c.Send(len(c.Room(false)))
	}
}

// TestDrainOfTheDeaf: a client of HTTP/2 that has given all the credit there is, and takes nothing, does not hold up a drain that
// has no more time: neither what waits for it nor crypto/tls's last words are waited for.
func TestDrainOfTheDeaf(t *testing.T) {
	own := testkit.CA(t, "own")
	config := &tls.Config{Certificates: []tls.Certificate{testkit.Issue(t, own, ca.Leaf{DNSNames: []string{"a.test"}})}, MinVersion: tls.VersionTLS12, NextProtos: []string{protocolH2}}
	for name, config := range map[string]*tls.Config{"TLS": config, "clear text": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := endless{config: config, begun: make(chan struct{})}
			s, address := open(t, h)
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if config != nil {
				conn = tls.Client(conn, &tls.Config{ServerName: "a.test", RootCAs: own.Pool(), NextProtos: []string{protocolH2}, MinVersion: tls.VersionTLS12})
			}
			r := &rude{conn: conn, framer: http2.NewFramer(conn, nil), stream: 1}
			_, err = io.WriteString(conn, http2.ClientPreface)
			if err = errors.Join(err, r.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}), r.framer.WriteWindowUpdate(0, 1<<30), r.request("GET", true)); err != nil {
				t.Fatal(err)
			}
			<-h.begun
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // in which all is full
			defer cancel()
			begun := time.Now()
			if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			if d := time.Since(begun); d > takeTimeout/2 {
				t.Errorf("drained after %v", d)
			}
		})
	}
}

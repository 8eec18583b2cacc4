package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// said is a connection whose client has said all that it will.
type said struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (s *said) Read(p []byte) (int, error)       { return s.in.Read(p) }
func (s *said) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *said) Close() error                     { return nil }
func (s *said) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *said) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *said) SetDeadline(time.Time) error      { return nil }
func (s *said) SetReadDeadline(time.Time) error  { return nil }
func (s *said) SetWriteDeadline(time.Time) error { return nil }

// hello is what a client begins with.
func hello(ctx context.Context, config *tls.Config) []byte {
	c := &said{in: bytes.NewReader(nil)}
	_ = tls.Client(c, config).HandshakeContext(ctx) // nobody answers
	return c.out.Bytes()
}

// FuzzClientHello begins handshakes with whatever bytes: none succeeds, the listener is the most specific one for the name that
// crypto/tls reads in them, and what is sent are records of TLS.
func FuzzClientHello(f *testing.F) {
	own := testkit.CA(f, "own")
	all := byHostname{}
	for _, name := range []string{"a.test", "*.test", "*.b.test", "c.b.test"} {
		all[name] = &chosen{config: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{testkit.Issue(f, own, ca.Leaf{DNSNames: []string{name}})}}}
	}
	broken := errors.New("its Secret is missing")
	all["broken.test"] = &chosen{err: broken}
	for _, name := range []string{"a.test", "A.TEST", "x.b.test", "c.b.test", "y.c.b.test", "b.test", "broken.test", "elsewhere", ""} {
		f.Add(hello(f.Context(), &tls.Config{ServerName: name, InsecureSkipVerify: name == "", NextProtos: protocols, MinVersion: tls.VersionTLS12}))
		f.Add(hello(f.Context(), &tls.Config{ServerName: name, InsecureSkipVerify: name == "", MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := &said{in: bytes.NewReader(in)}
		config := &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			got, err := all.choose(h)
			best, name := "", strings.ToLower(strings.TrimSuffix(h.ServerName, "."))
			for hostname := range all {
				suffix, wild := strings.CutPrefix(hostname, "*")
				if (hostname == name || wild && strings.HasSuffix(name, suffix) && len(name) > len(suffix)) && (hostname == name || best != name && len(hostname) > len(best)) {
					best = hostname
				}
			}
			switch want := all[best]; {
			case want == nil || len(name) > maxName:
				if got != nil || !errors.Is(err, accept.ErrNoListener) {
					t.Errorf("%q is let in: %v", h.ServerName, err)
				}
			case got != want.config || !errors.Is(err, want.err):
				t.Errorf("%q is not %s: %v", h.ServerName, best, err)
			}
			return got, err
		}}
		if err := tls.Server(c, config).HandshakeContext(t.Context()); err == nil {
			t.Error("a handshake of a client that says one thing succeeded")
		}
		for out := c.out.Bytes(); len(out) > 0; {
			if len(out) < 5 || out[0] < 20 || out[0] > 23 || out[1] != 3 || len(out) < 5+int(out[3])<<8+int(out[4]) {
				t.Fatalf("%d bytes that are no record: %.20x", len(out), out)
			}
			out = out[5+int(out[3])<<8+int(out[4]):]
		}
	})
}

package accept

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/proxy/watch"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// secured is small over TLS.
type secured struct {
	small
	config *tls.Config
}

func (s secured) TLS(string) (*TLS, bool) {
	return &TLS{Config: s.config, Peer: func(*tls.ConnectionState) string { return "" }}, true
}

// told is a log of which every line is waited for.
type told chan string

func (told) Enabled(context.Context, slog.Level) bool { return true }
func (l told) Handle(_ context.Context, r slog.Record) error {
	l <- r.Message
	return nil
}
func (l told) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l told) WithGroup(string) slog.Handler      { return l }

func TestRefusedHandshakesAreCounted(t *testing.T) {
	own, clients := testkit.CA(t, "own"), testkit.CA(t, "clients")
	strict := &tls.Config{
		Certificates: []tls.Certificate{testkit.Issue(t, own, ca.Leaf{DNSNames: []string{"a.test"}})},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool(), MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}
	unusable := io.ErrNoProgress
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		switch hello.ServerName {
		case "a.test":
			return strict, nil
		case "broken.test":
			return nil, unusable
		}
		return nil, ErrNoListener
	}}
	sweeper, lines := watch.New(), make(told, 1)
	t.Cleanup(sweeper.Close)
	const address = "127.0.0.1:0"
	var s *Set
	serve := func(patience time.Duration) {
		served := New(Config{Handler: secured{config: config}, Sweeper: sweeper, Logger: slog.New(lines)})
		s = served
		s.patience = patience
		if failed := s.Bind(t.Context(), []string{address}); len(failed) > 0 {
			t.Fatal(failed)
		}
		t.Cleanup(func() {
			if err := served.Drain(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	serve(time.Minute)
	want := map[string]int64{"no_listener": 0, "client_certificate": 0, "protocol": 0, "timeout": 0, "other": 0}
	// f does something to a connection and closes it, unless the far side must do so.
	f := func(name, reason string, do func(net.Conn) error) {
		t.Helper()
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addresses()[address].String())
		if err != nil {
			t.Fatal(err)
		}
		if err := do(c); err == nil {
			t.Errorf("%s: no error", name)
		}
		_ = c.Close()
		<-lines
		if reason != "" {
			want[reason]++
		}
		s.Refused(func(socket, reason string, n int64) {
			if socket != address || n != want[reason] {
				t.Errorf("%s: %d of %s at %s, want %d", name, n, reason, socket, want[reason])
			}
		})
	}
	shake := func(c *tls.Config) func(net.Conn) error {
		return func(conn net.Conn) error {
			t := tls.Client(conn, c)
			_, err := t.Read(make([]byte, 1)) // in TLS 1.3 the far side may refuse when our handshake is over
			return err
		}
	}
	write := func(text string) func(net.Conn) error {
		return func(c net.Conn) error {
			_, _ = io.WriteString(c, text)
			_, err := io.ReadFull(c, make([]byte, 1<<10))
			return err
		}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ask := func(name string, certificates ...tls.Certificate) *tls.Config {
			c := &tls.Config{ServerName: name, RootCAs: own.Pool(), MinVersion: version, MaxVersion: version}
			if len(certificates) > 0 {
				c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }
			}
			return c
		}
		f("another name", "no_listener", shake(ask("b.test")))
		f("a listener that cannot be used", "other", shake(ask("broken.test")))
		f("no certificate", "client_certificate", shake(ask("a.test")))
		f("a foreign certificate", "client_certificate", shake(ask("a.test", testkit.Issue(t, testkit.CA(t, "clients"), ca.Leaf{Client: true}))))
		f("a server's certificate", "client_certificate", shake(ask("a.test", testkit.Issue(t, clients, ca.Leaf{}))))
		stolen := testkit.Issue(t, clients, ca.Leaf{Client: true})
		stolen.PrivateKey = testkit.Issue(t, clients, ca.Leaf{Client: true}).PrivateKey
		f("another's certificate", "client_certificate", shake(ask("a.test", stolen)))
		distrustful := ask("a.test")
		distrustful.RootCAs = clients.Pool()
		f("a client that does not trust us", "other", shake(distrustful))
		speaks := ask("a.test")
		speaks.NextProtos = []string{"smtp"}
		f("another protocol", "protocol", shake(speaks))
	}
	f("an old version", "protocol", shake(&tls.Config{ServerName: "a.test", RootCAs: own.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}))
	f("no TLS", "protocol", write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"))
	f("half a record", "other", func(c net.Conn) error {
		_, _ = io.WriteString(c, "\x16\x03\x01")
		return io.EOF
	})
	f("a look whether the port is open", "", func(net.Conn) error { return io.EOF })
	serve(10 * time.Millisecond)
	clear(want)
	f("silence", "timeout", write(""))
	f("a slow hello", "timeout", write("\x16\x03\x01\x02\x00"))
}

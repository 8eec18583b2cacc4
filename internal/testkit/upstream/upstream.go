// Package upstream is a real far side on loopback, over TLS or plain, of HTTP/1.1, HTTP/2 or both, that records what it saw:
// each connection with its handshake, each request with its bytes. Fault and HTTP2Fault are its misbehaving siblings on
// raw sockets.
//
// What is recorded is read from the plaintext bytes under net/http's server, not from what net/http made of them: order
// and case of header lines, targets and trailers are as the proxy wrote them, and HTTP/2's are decoded from its frames.
// All that is kept is bounded; the counters go on beyond the bounds. It judges nothing. Tests and benchmarks call it.
//
//	up, err := upstream.New(upstream.Config{Certificate: leaf, Handler: upstream.Echo()})
//	defer up.Close()
//	request, err := up.WaitRequest(ctx, 1) // the first one, whole
package upstream

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

const anyPort = "127.0.0.1:0"

const (
	headTimeout  = time.Minute     // for a handshake and a request head
	closeTimeout = 5 * time.Second // for handlers to see that their request is over
)

// Config is what an upstream is. The zero value answers 200 with an echo, in plain text.
type Config struct {
	Address     string             // host and port to listen on; empty: a free port of 127.0.0.1
	Certificate tls.Certificate    // none: plain HTTP
	ClientCAs   *x509.CertPool     // set: a client certificate under them is required, unless ClientAuth says otherwise
	ClientAuth  tls.ClientAuthType // how to ask for one; zero with ClientCAs is RequireAndVerifyClientCert
	MaxVersion  uint16             // newest TLS version; zero is crypto/tls's
	Protocols   http.Protocols     // what it speaks, offered by ALPN over TLS and known by its preface without; zero is HTTP/1.1 alone
	HTTP2       http.HTTP2Config   // how it speaks HTTP/2
	Handler     http.Handler       // nil: Echo
	KeepBody    int                // bytes of each body to keep; zero is 1 MiB
}

// Upstream is a running far side.
type Upstream struct {
	*Record
	listener    net.Listener
	server      *http.Server
	certificate atomic.Pointer[tls.Certificate]
	secure      bool
	served      chan struct{} // closed once the accept loop has ended
}

// New starts an upstream.
func New(config Config) (*Upstream, error) {
	secure := len(config.Certificate.Certificate) > 0
	protocols, alpn := speaks(config.Protocols, secure)
	if len(alpn) == 0 {
		return nil, fmt.Errorf("start upstream: %s is nothing that it could speak: TLS is %t", config.Protocols, secure)
	}
	listener, err := listen(cmp.Or(config.Address, anyPort))
	if err != nil {
		return nil, err
	}
	u := &Upstream{Record: newRecord(config.KeepBody), secure: secure, served: make(chan struct{})}
	u.http2 = protocols.UnencryptedHTTP2()
	u.SetCertificate(config.Certificate)
	var settings *tls.Config
	if secure {
		settings = u.settings(u.certificate.Load, alpn...)
		settings.MaxVersion = config.MaxVersion
		settings.ClientCAs, settings.ClientAuth = config.ClientCAs, config.ClientAuth
		if config.ClientCAs != nil && config.ClientAuth == tls.NoClientCert {
			settings.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	u.listener = &recording{Listener: listener, record: u.Record, settings: settings}
	u.server = &http.Server{
		Handler:           u.counted(config.Handler),
		Protocols:         &protocols,
		HTTP2:             &config.HTTP2,
		ReadHeaderTimeout: headTimeout,
		ErrorLog:          log.New(io.Discard, "", 0), // failed handshakes are in the record
		ConnState:         hijacked,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	go func() {
		defer close(u.served)
		_ = u.server.Serve(u.listener) // ends with ErrServerClosed, at Close
	}()
	return u, nil
}

// speaks are the protocols of net/http's server, and their names by ALPN. That server is handed connections whose TLS is
// done beneath it, so that HTTP/2 is to it always the unencrypted one.
func speaks(asked http.Protocols, secure bool) (protocols http.Protocols, alpn []string) {
	if asked == (http.Protocols{}) {
		asked.SetHTTP1(true)
	}
	if asked.HTTP2() && secure || asked.UnencryptedHTTP2() && !secure {
		protocols.SetUnencryptedHTTP2(true)
		alpn = append(alpn, http2.NextProtoTLS)
	}
	if asked.HTTP1() {
		protocols.SetHTTP1(true)
		alpn = append(alpn, "http/1.1")
	}
	return protocols, alpn
}

// Addr is the host and port that it listens on.
func (u *Upstream) Addr() string { return u.listener.Addr().String() }

// URL is its base, without a slash at the end. The host is an IP address: certificates name it, or clients override it.
func (u *Upstream) URL() string {
	if u.secure {
		return "https://" + u.Addr()
	}
	return "http://" + u.Addr()
}

// SetCertificate is what the next handshakes present. It does not make a plain upstream speak TLS.
func (u *Upstream) SetCertificate(certificate tls.Certificate) { u.certificate.Store(&certificate) }

// CloseConnections closes what is open, as a far side that restarts does, and goes on listening.
func (u *Upstream) CloseConnections() { u.closeAll() }

// Close stops listening, closes every connection and waits until no handler runs.
func (u *Upstream) Close() error {
	err := u.server.Close()
	<-u.served
	u.closeAll() // hijacked ones are not the server's
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if late := u.Wait(ctx, func() bool { return u.running() == 0 }); late != nil {
		err = errors.Join(err, fmt.Errorf("close upstream: handlers still run: %w", late))
	}
	return err
}

type connKey struct{}

// counted runs the handler with the TLS state that net/http cannot see through our connection.
func (u *Upstream) counted(handler http.Handler) http.Handler {
	if handler == nil {
		handler = Echo()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok {
			r.TLS = c.state()
		}
		u.handlers(1)
		defer u.handlers(-1)
		handler.ServeHTTP(w, r)
	})
}

// hijacked ends the recording of requests on a connection that turned into something else (RFC 9110, section 7.8).
func hijacked(c net.Conn, state http.ConnState) {
	if c, ok := c.(*conn); ok && state == http.StateHijacked {
		c.record.tunnel(c.wire)
	}
}

func listen(address string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return listener, nil
}

// settings are one TLS configuration for all connections, so that sessions resume across them.
func (r *Record) settings(certificate func() *tls.Certificate, alpn ...string) *tls.Config {
	var ticket [32]byte
	_, _ = rand.Read(ticket[:]) // crypto/rand never fails
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: alpn,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return certificate(), nil
		},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if s, ok := hello.Conn.(*socket); ok {
				r.hello(s.seen, hello)
			}
			return nil, nil
		},
	}
	config.SetSessionTicketKeys([][32]byte{ticket})
	return config
}

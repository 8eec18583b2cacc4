// Package tunnel is a proxy that opens tunnels (CONNECT, RFC 9110, section 9.3.6) to where its table of hosts says, and
// records what it was asked. It judges nobody and speaks nothing else. Tests of dial and of proxy put it between.
package tunnel

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config is what a Proxy is made of.
type Config struct {
	Hosts  map[string]string                             // host:port asked for to address dialled; what is not in it gets 502
	TLS    *tls.Config                                   // nil: plain
	Answer func(http.ResponseWriter, *http.Request) bool // answers in its place, and says that it did; may be nil
}

// Asked is one CONNECT.
type Asked struct {
	Authority string
	Header    http.Header
}

// Proxy is a running one.
type Proxy struct {
	config   Config
	listener net.Listener
	server   *http.Server
	work     sync.WaitGroup

	mu    sync.Mutex
	asked []Asked
	open  map[net.Conn]bool
}

// New starts a Proxy on a loopback address.
func New(config Config) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p := &Proxy{config: config, listener: listener, open: map[net.Conn]bool{}}
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: 10 * time.Second, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	inner := listener
	if config.TLS != nil {
		inner = tls.NewListener(listener, config.TLS)
	}
	p.work.Go(func() { _ = p.server.Serve(inner) })
	return p, nil
}

// Addr is where it listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Asked are the CONNECTs so far.
func (p *Proxy) Asked() []Asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// HangUp ends every tunnel.
func (p *Proxy) HangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
}

// Close ends it and every tunnel.
func (p *Proxy) Close() error {
	err := p.server.Close()
	p.HangUp()
	p.work.Wait()
	return err
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, Asked{strings.Clone(r.Host), r.Header.Clone()})
	p.mu.Unlock()
	if p.config.Answer != nil && p.config.Answer(w, r) {
		return
	}
	address, ok := p.config.Hosts[r.Host]
	if !ok || r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	far, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", address)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = far.Close()
		return
	}
	p.keep(near, far)
	_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	p.work.Go(func() { p.copy(far, buffered) })
	p.work.Go(func() { p.copy(near, far) })
}

func (p *Proxy) keep(list ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range list {
		p.open[c] = true
	}
}

// copy passes one direction on, with its end.
func (p *Proxy) copy(to net.Conn, from io.Reader) {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil && !errors.Is(err, io.EOF) || !ok || half.CloseWrite() != nil {
		_ = to.Close()
	}
}

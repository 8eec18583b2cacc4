// Package dnsserver is a DNS server on loopback, UDP and TCP on one port, whose answers a test sets while it runs:
// addresses, aliases, pointers, and the ways in which name servers fail (error codes, silence, delay, truncation, forged
// answers).
//
// It is authoritative for whatever it was told, knows nothing else, follows no referral and signs nothing. Tests and the
// demo call it.
//
//	server, err := dnsserver.New(dnsserver.Config{})
//	defer server.Close()
//	err = server.Set("api.example.com", dnsserver.Alias("lb.example.com", 60))
//	err = server.Set("lb.example.com", dnsserver.Address("192.0.2.1", 5), dnsserver.Address("2001:db8::1", 5))
package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	closeTimeout = 5 * time.Second
	portTries    = 32 // free UDP ports to try until the TCP one of the same number is free too
	maxCounters  = 10_000
	maxDatagram  = 1232 // offered by EDNS, as resolvers do since the flag day of 2020
)

// Config is what a server is. The zero value answers unknown names with NXDOMAIN and no SOA.
type Config struct {
	NegativeTTL uint32 // seconds; set: empty answers and NXDOMAIN carry an SOA with it (RFC 2308)
}

// Server is a running DNS server.
type Server struct {
	config    Config
	udp, tcp  *dns.Server
	address   string
	closing   chan struct{} // closed: nothing waits at a gate any more
	closeOnce sync.Once
	closeErr  error
	ended     sync.WaitGroup

	mu        sync.Mutex
	records   map[string][]dns.RR
	behaviour map[string]Behaviour
	counts    map[Query]int
	changed   chan struct{} // nil while nobody waits
}

// Query is what is counted apart.
type Query struct {
	Name    string // canonical: lower case, with a dot at the end
	Type    uint16 // dns.TypeA, for one
	Network string // "udp" or "tcp"
}

// New starts a server on a free port of 127.0.0.1.
func New(config Config) (*Server, error) {
	packets, listener, err := listen()
	if err != nil {
		return nil, err
	}
	s := &Server{
		config:    config,
		address:   listener.Addr().String(),
		closing:   make(chan struct{}),
		records:   map[string][]dns.RR{},
		behaviour: map[string]Behaviour{},
		counts:    map[Query]int{},
	}
	s.udp = &dns.Server{PacketConn: packets, Handler: s.handler("udp")}
	s.tcp = &dns.Server{Listener: listener, Handler: s.handler("tcp")}
	var started sync.WaitGroup
	for _, server := range []*dns.Server{s.udp, s.tcp} {
		started.Add(1)
		server.NotifyStartedFunc = started.Done
		s.ended.Go(func() { _ = server.ActivateAndServe() }) // ends at Close
	}
	started.Wait()
	return s, nil
}

// Addr is the host and port, the same for UDP and TCP.
func (s *Server) Addr() string { return s.address }

// Close stops the server and waits until no query is under way.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		s.closeErr = errors.Join(s.udp.ShutdownContext(ctx), s.tcp.ShutdownContext(ctx))
		s.ended.Wait()
	})
	return s.closeErr
}

// Queries is how often a name was asked over "udp", "tcp" or, with "", either.
func (s *Server) Queries(name, network string) int {
	return s.count(func(q Query) bool {
		return q.Name == canonical(name) && (network == "" || q.Network == network)
	})
}

// Asked is how often a name was asked for a type, over either network.
func (s *Server) Asked(name string, kind uint16) int {
	return s.count(func(q Query) bool { return q.Name == canonical(name) && q.Type == kind })
}

// WaitQueries waits until a name was asked n times, answered or not.
func (s *Server) WaitQueries(ctx context.Context, name string, n int) error {
	for {
		s.mu.Lock()
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		got := s.Queries(name, "")
		if got >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for query %d of %s, got %d: %w", n, name, got, context.Cause(ctx))
		}
	}
}

func (s *Server) count(counted func(Query) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := 0
	for query, n := range s.counts {
		if counted(query) {
			sum += n
		}
	}
	return sum
}

func (s *Server) counted(query Query) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.counts[query]; known || len(s.counts) < maxCounters {
		s.counts[query]++
	}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// listen finds a port that is free for UDP and TCP alike.
func listen() (net.PacketConn, net.Listener, error) {
	var config net.ListenConfig
	var taken error
	for range portTries {
		packets, err := config.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, fmt.Errorf("listen on UDP: %w", err)
		}
		listener, err := config.Listen(context.Background(), "tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, listener, nil
		}
		_ = packets.Close() // its port is of no use
		taken = err
	}
	return nil, nil, fmt.Errorf("listen on TCP at %d free UDP ports: %w", portTries, taken)
}

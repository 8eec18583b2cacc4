// Package testkit starts the far sides that live in its sub-folders (ca, upstream, grpcecho, provider, dnsserver, tunnel) for the length of
// one test: what fails to start ends the test, and all is closed with it.
//
// It adds nothing to them. It imports testing, and they do not: commands that need a far side, such as the demo, take it
// from its own package.
package testkit

import (
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/dnsserver"
	"github.com/ebbgate/ebbgate/internal/testkit/grpcecho"
	"github.com/ebbgate/ebbgate/internal/testkit/provider"
	"github.com/ebbgate/ebbgate/internal/testkit/tunnel"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// CA makes a root.
func CA(t testing.TB, name string) *ca.CA {
	t.Helper()
	c, err := ca.New(name)
	must(t, err)
	return c
}

// Issue makes a certificate.
func Issue(t testing.TB, c *ca.CA, leaf ca.Leaf) tls.Certificate {
	t.Helper()
	certificate, err := c.Issue(leaf)
	must(t, err)
	return certificate
}

// Loopback makes a server certificate for 127.0.0.1 and the names.
func Loopback(t testing.TB, c *ca.CA, names ...string) tls.Certificate {
	t.Helper()
	return Issue(t, c, ca.Leaf{DNSNames: names, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
}

// Upstream starts an upstream.
func Upstream(t testing.TB, config upstream.Config) *upstream.Upstream {
	t.Helper()
	return started(t, upstream.New, config)
}

// Fault starts a fault server.
func Fault(t testing.TB, config upstream.FaultConfig) *upstream.Fault {
	t.Helper()
	return started(t, upstream.NewFault, config)
}

// HTTP2Fault starts a fault server of HTTP/2.
func HTTP2Fault(t testing.TB, config upstream.HTTP2FaultConfig) *upstream.HTTP2Fault {
	t.Helper()
	return started(t, upstream.NewHTTP2Fault, config)
}

// Provider starts a provider emulator.
func Provider(t testing.TB, config provider.Config) *provider.Provider {
	t.Helper()
	return started(t, provider.New, config)
}

// GRPC starts a gRPC server.
func GRPC(t testing.TB, config grpcecho.Config) *grpcecho.Server {
	t.Helper()
	return started(t, grpcecho.New, config)
}

// Tunnel starts a proxy that opens tunnels.
func Tunnel(t testing.TB, config tunnel.Config) *tunnel.Proxy {
	t.Helper()
	return started(t, tunnel.New, config)
}

// DNS starts a DNS server.
func DNS(t testing.TB, config dnsserver.Config) *dnsserver.Server {
	t.Helper()
	return started(t, dnsserver.New, config)
}

// Ports are free TCP ports of 127.0.0.1, each another. They lie below those that systems give to outgoing connections,
// which might take them before whoever asked listens.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		port := 20_000 + rand.IntN(12_000)
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			if tries > 1000 {
				t.Fatal(err)
			}
			continue
		}
		defer func() { _ = l.Close() }() // only once all are known, so that none is given twice
		ports = append(ports, port)
	}
	return ports
}

func started[C any, S io.Closer](t testing.TB, start func(C) (S, error), config C) S {
	t.Helper()
	server, err := start(config)
	must(t, err)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return server
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

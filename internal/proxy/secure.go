package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/identify"
	"github.com/ebbgate/ebbgate/internal/proxy/material"
)

// protocols are what listeners offer by ALPN (RFC 7301), the preferred first. Nothing changes the list.
var protocols = []string{"h2", "http/1.1"}

// secured is the TLS of one port of a Gateway, kept from table to table while nothing it was made from changes, so that
// session tickets stay good.
type secured struct {
	serve     *accept.TLS
	listeners []*plan.Listener
	sources   []plan.SPIFFESource
	secrets   []*plan.Secret
	problems  []error // of listeners that refuse every handshake, and of bundles that name nobody
}

// listenerTLS is the TLS of a Gateway's port; nil where its listeners are plain.
func (b *builder) listenerTLS(g *plan.Gateway, number int) *accept.TLS {
	made := &secured{sources: g.SPIFFE}
	for _, l := range g.Listeners {
		if l.Port != number || l.Protocol != plan.HTTPS {
			continue
		}
		made.listeners = append(made.listeners, l)
		for _, name := range l.Certificates {
			made.secrets = append(made.secrets, b.secret(name))
		}
		if l.Clients != nil {
			for _, name := range l.Clients.Roots {
				made.secrets = append(made.secrets, b.secret(name))
			}
		}
	}
	if len(made.listeners) == 0 {
		return nil
	}
	for _, s := range g.SPIFFE {
		made.secrets = append(made.secrets, b.secret(s.Bundle))
	}
	key := g.Name + ":" + strconv.Itoa(number)
	if old := b.server.secure[key]; old != nil && old.same(made) {
		made = old
	} else {
		made.build(b.secret)
	}
	b.secure[key] = made
	for _, err := range made.problems {
		b.fail("gateway %s: port %d: %w", g.Name, number, err)
	}
	return made.serve
}

// same reports whether two are made from the same. Resources of a plan are immutable: pointers tell.
func (s *secured) same(other *secured) bool {
	return slices.Equal(s.listeners, other.listeners) && slices.Equal(s.secrets, other.secrets) && slices.Equal(s.sources, other.sources)
}

func (s *secured) build(secret func(string) *plan.Secret) {
	bundles, problems := identify.NewBundles(s.sources, secret)
	s.problems = problems
	all := byHostname{}
	for _, l := range s.listeners {
		hostname := strings.ToLower(l.Hostname)
		if _, taken := all[hostname]; taken {
			continue // match reports it
		}
		made, err := listenerConfig(l, len(s.sources) > 0, bundles.Roots(), secret)
		if err != nil {
			err = fmt.Errorf("listener %s: %w", l.Name, err)
			s.problems = append(s.problems, err)
		}
		all[hostname] = &chosen{made, err}
	}
	s.serve = &accept.TLS{
		Config: &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: all.choose},
		Peer:   func(state *tls.ConnectionState) string { return bundles.SPIFFE(state, time.Now()) },
		Admits: all.admits,
	}
}

// listenerConfig is the TLS of one listener.
//
// A client whose certificate only names it (SPIFFE) is asked for one and let in without: identify verifies it under the
// bundle of its trust domain, which need not be among the listener's own roots.
//
// Each listener has ticket keys of its own, which crypto/tls makes and rotates: a session that was begun under another
// listener, or under a setting that has changed since, is not resumed but begun anew, its certificate verified anew.
func listenerConfig(l *plan.Listener, named bool, bundles []*x509.Certificate, secret func(string) *plan.Secret) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols}
	for _, name := range l.Certificates {
		pair, err := material.Pair(name, secret)
		if err != nil {
			return nil, err
		}
		c.Certificates = append(c.Certificates, *pair)
	}
	if len(c.Certificates) == 0 {
		return nil, errors.New("it has no certificate")
	}
	var known []*x509.Certificate
	if named {
		c.ClientAuth, known = tls.RequestClientCert, bundles
	}
	if l.Clients != nil {
		roots, err := material.Roots(l.Clients.Roots, secret)
		switch {
		case err != nil:
			return nil, fmt.Errorf("roots for client certificates: %w", err)
		case len(roots) == 0: // crypto/tls would take the system's
			return nil, errors.New("roots for client certificates: there are none")
		case l.Clients.Insecure:
			c.ClientAuth, known = tls.RequestClientCert, append(slices.Clone(bundles), roots...)
		default:
			c.ClientAuth, known = tls.RequireAndVerifyClientCert, roots
		}
	}
	if known != nil { // where nothing is verified, they tell clients which of their certificates to show
		c.ClientCAs = x509.NewCertPool()
		for _, root := range known {
			c.ClientCAs.AddCert(root)
		}
	}
	c.WrapSession, c.UnwrapSession = c.EncryptTicket, c.DecryptTicket
	return c, nil
}

// byHostname are the listeners of a port, by hostname.
type byHostname map[string]*chosen

// chosen is a listener's TLS, or why it refuses every handshake.
type chosen struct {
	config *tls.Config
	err    error
}

// maxName bounds a server name (RFC 1035, section 2.3.4).
const maxName = 253

// choose takes the listener for the server name.
func (b byHostname) choose(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	found := b.find(hello.ServerName)
	if found == nil {
		return nil, accept.ErrNoListener
	}
	return found.config, found.err
}

// admits judges a client anew: its certificate, or that it showed none, under what the listener demands now.
func (b byHostname) admits(state *tls.ConnectionState) bool {
	found := b.find(state.ServerName)
	switch {
	case found == nil || found.err != nil:
		return false
	case found.config.ClientAuth != tls.RequireAndVerifyClientCert:
		return true
	case len(state.PeerCertificates) == 0:
		return false
	}
	intermediates := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: found.config.ClientCAs, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

// find is the most specific listener for the server name, as match has it: exact, then the longest wildcard, then the
// listener without a hostname; nil where there is none.
func (b byHostname) find(name string) *chosen {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if len(name) > maxName {
		return nil
	}
	found := b[name]
	for rest := name; found == nil && rest != ""; {
		_, rest, _ = strings.Cut(rest, ".")
		found = b["*."+rest]
	}
	if found == nil {
		found = b[""]
	}
	return found
}

package dial

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

func TestVerification(t *testing.T) {
	authority := newAuthority(t)
	f := func(name string, leaf ca.Leaf, want exchange.Reason, change func(*plan.TLS), server func(*tls.Config)) {
		t.Run(name, func(t *testing.T) {
			config := authority.server(t, leaf)
			if server != nil {
				server(config)
			}
			far, n := serve(t, "127.0.0.1:0", config), dialer(t)
			target := n.prepare(t, n.config(far, authority.setting(t, change)))
			if want == "" {
				c := n.get(t, target)
				ping(t, c)
				if c.TLS().NegotiatedProtocol != "http/1.1" || c.TLS().ServerName != "api.test" {
					t.Errorf("ALPN %q, server name %q", c.TLS().NegotiatedProtocol, c.TLS().ServerName)
				}
				return
			}
			n.fails(t, target, want)
			if far.received.Load() != 0 {
				t.Errorf("%d bytes left before the far side was verified", far.received.Load())
			}
		})
	}
	good := ca.Leaf{DNSNames: []string{"api.test", "*.wild.test"}, URIs: []string{"spiffe://test/api"}}
	past := good
	past.NotAfter = time.Now().Add(-time.Minute)
	sans := func(list ...plan.SAN) func(*plan.TLS) { return func(s *plan.TLS) { s.SANs = list } }
	const failed, broke = exchange.TLSVerificationFailed, exchange.TLSFailed

	f("right", good, "", nil, nil)
	f("wildcard certificate", ca.Leaf{DNSNames: []string{"*.test"}}, "", nil, nil)
	f("wrong host", ca.Leaf{DNSNames: []string{"other.test"}}, failed, nil, nil)
	f("expired", past, failed, nil, nil)
	f("client certificate as server's", ca.Leaf{DNSNames: []string{"api.test"}, Client: true}, failed, nil, nil)
	f("unknown authority", good, failed, func(s *plan.TLS) { s.Roots, s.SystemRoots = nil, true }, nil)
	f("own and system roots", good, "", func(s *plan.TLS) { s.SystemRoots = true }, nil)
	f("minimum version met", good, "", func(s *plan.TLS) { s.MinVersion = "1.3" }, nil)
	f("minimum version missed", good, broke, func(s *plan.TLS) { s.MinVersion = "1.3" }, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	f("SAN hostname", good, "", sans(plan.SAN{Type: sanHostname, Value: "a.wild.test"}), nil)
	f("SAN URI", good, "", sans(plan.SAN{Type: sanHostname, Value: "other.test"}, plan.SAN{Type: sanURI, Value: "spiffe://test/api"}), nil)
	f("SAN hostname is SNI alone", ca.Leaf{DNSNames: []string{"real.test"}}, "", sans(plan.SAN{Type: sanHostname, Value: "real.test"}), nil)
	f("SAN missing", good, failed, sans(plan.SAN{Type: sanHostname, Value: "other.test"}, plan.SAN{Type: sanURI, Value: "spiffe://test/ap"}), nil)
	f("SAN, hostname is none", good, failed, sans(plan.SAN{Type: sanURI, Value: "api.test"}), nil)
	f("SAN of an expired certificate", past, failed, sans(plan.SAN{Type: sanHostname, Value: "api.test"}), nil)
	f("SAN of a client's certificate", ca.Leaf{DNSNames: []string{"api.test"}, Client: true}, failed, sans(plan.SAN{Type: sanHostname, Value: "api.test"}), nil)
	f("SAN of an unknown authority", good, failed, func(s *plan.TLS) {
		s.Roots, s.SystemRoots, s.SANs = nil, true, []plan.SAN{{Type: sanHostname, Value: "api.test"}}
	}, nil)
}

func TestPlainTextWhereTLSIsExpected(t *testing.T) {
	n := dialer(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	n.fails(t, n.prepare(t, n.config(listener, newAuthority(t).setting(t, nil))), exchange.TLSFailed)
}

func TestClientCertificate(t *testing.T) {
	authority := newAuthority(t)
	certificate, err := authority.Issue(ca.Leaf{CommonName: "gateway", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ca.KeyPEM(certificate)
	if err != nil {
		t.Fatal(err)
	}
	authority.object("Secret/ai/client", "tls.crt", ca.CertificatePEM(certificate), "tls.key", key)
	config := authority.server(t, ca.Leaf{DNSNames: []string{"api.test"}})
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, authority.Pool()
	config.MaxVersion = tls.VersionTLS12 // in 1.3 the far side's refusal comes with the first read
	far, n := serve(t, "127.0.0.1:0", config), dialer(t)
	n.fails(t, n.prepare(t, n.config(far, authority.setting(t, nil))), exchange.TLSFailed)
	with := authority.setting(t, func(s *plan.TLS) { s.ClientCertificate = "Secret/ai/client" })
	ping(t, n.get(t, n.prepare(t, n.config(far, with))))
	state := receive(t, "handshake", far.states)
	if len(state.PeerCertificates) == 0 || state.PeerCertificates[0].Subject.CommonName != "gateway" {
		t.Error("the far side saw no certificate of ours")
	}
}

func TestResumption(t *testing.T) {
	f := func(name string, version uint16, change func(*plan.TLS)) {
		t.Run(name, func(t *testing.T) {
			authority := newAuthority(t)
			config := authority.server(t, ca.Leaf{DNSNames: []string{"api.test"}, NotAfter: time.Now().Add(time.Hour)})
			config.MaxVersion = version
			far, n := serve(t, "127.0.0.1:0", config), dialer(t)
			target := n.prepare(t, n.config(far, authority.setting(t, change)))
			for i := range 2 {
				c := n.get(t, target)
				ping(t, c)
				if c.TLS().DidResume != (i > 0) {
					t.Errorf("connection %d: resumed is %t", i, c.TLS().DidResume)
				}
				_ = c.Close()
			}
			other := n.config(far, authority.setting(t, change))
			other.Gateway = "infra/other"
			if c := n.get(t, n.prepare(t, other)); c.TLS().DidResume {
				t.Error("a session was resumed for another Gateway")
			}
			n.offset.Store(int64(2 * time.Hour))
			n.fails(t, target, exchange.TLSVerificationFailed)
		})
	}
	sans := func(s *plan.TLS) { s.SANs = []plan.SAN{{Type: sanHostname, Value: "api.test"}} }
	f("1.3", tls.VersionTLS13, nil)
	f("1.2", tls.VersionTLS12, nil)
	f("1.3 with names", tls.VersionTLS13, sans)
	f("1.2 with names", tls.VersionTLS12, sans)
}

// TestResumedSessionIsHeldToTheSetting asks what crypto/tls is to ask at the end of a resumed handshake.
func TestResumedSessionIsHeldToTheSetting(t *testing.T) {
	authority := newAuthority(t)
	leaf, err := authority.Issue(ca.Leaf{DNSNames: []string{"api.test"}, NotAfter: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	chain := []*x509.Certificate{leaf.Leaf, authority.Certificate()}
	state := tls.ConnectionState{DidResume: true, PeerCertificates: chain[:1], VerifiedChains: [][]*x509.Certificate{chain}}
	f := func(want bool, verify func(tls.ConnectionState) error) {
		t.Helper()
		if err := verify(state); (err == nil) != want {
			t.Errorf("%v, want success %t", err, want)
		}
	}
	late := func() time.Time { return time.Now().Add(2 * time.Hour) }
	plainly := authority.setting(t, nil)
	named := authority.setting(t, func(s *plan.TLS) { s.SANs = []plan.SAN{{Type: sanHostname, Value: "api.test"}} })
	misnamed := authority.setting(t, func(s *plan.TLS) { s.SANs = []plan.SAN{{Type: sanHostname, Value: "b.test"}} })
	f(true, verification{plainly, "api.test", time.Now}.standard)
	f(false, verification{plainly, "b.test", time.Now}.standard)
	f(false, verification{plainly, "api.test", late}.standard)
	f(true, verification{named, "sni.test", time.Now}.names)
	f(false, verification{named, "sni.test", late}.names)
	f(false, verification{misnamed, "api.test", time.Now}.names)
	state.PeerCertificates, state.VerifiedChains = nil, nil
	f(false, verification{plainly, "api.test", time.Now}.standard)
	f(false, verification{named, "api.test", time.Now}.names)
}

func TestKey(t *testing.T) {
	authority, other := newAuthority(t), newAuthority(t)
	authority.object("Secret/b/same", "ca.crt", append([]byte("a comment\n"), authority.PEM()...))
	authority.object("Secret/b/other", "ca.crt", other.PEM())
	base := authority.setting(t, nil).Key()
	f := func(same bool, change func(*plan.TLS)) {
		t.Helper()
		if got := authority.setting(t, change).Key() == base; got != same {
			t.Errorf("same key: %t, want %t", got, same)
		}
	}
	f(true, nil)
	f(true, func(s *plan.TLS) { s.Roots = []string{"Secret/b/same", "ConfigMap/ai/roots"} })
	f(true, func(s *plan.TLS) { s.MinVersion = "1.2" })
	f(false, func(s *plan.TLS) { s.Roots = []string{"Secret/b/other"} })
	f(false, func(s *plan.TLS) { s.SystemRoots = true })
	f(false, func(s *plan.TLS) { s.MinVersion = "1.3" })
	f(false, func(s *plan.TLS) { s.Hostname = "b.test" })
	f(false, func(s *plan.TLS) { s.SANs = []plan.SAN{{Type: sanURI, Value: "x"}} })
	text, err := json.Marshal(map[string]any{"key": base})
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprintf("%v %s %q %#v %x", base, base, base, base, base) + string(text); strings.Contains(all, string(base)) ||
		strings.Contains(all, fmt.Sprintf("%x", string(base))) {
		t.Errorf("the key prints: %q", all)
	}
}

func TestMaterialErrorsNameTheObject(t *testing.T) {
	authority := newAuthority(t)
	certificate, err := authority.Issue(ca.Leaf{Client: true})
	if err != nil {
		t.Fatal(err)
	}
	chain := ca.CertificatePEM(certificate)
	secretText := "c2VjcmV0IGtleSBieXRlcw"
	authority.object("Secret/a/empty", "ca.crt", []byte{})
	authority.object("Secret/a/text", "ca.crt", []byte(secretText))
	authority.object("Secret/a/key", "ca.crt", []byte("-----BEGIN "+secretText+"-----\n"+secretText+"\n-----END "+secretText+"-----\n"))
	authority.object("Secret/a/half", "ca.crt", append(authority.PEM(), "-----BEGIN CERTIFICATE-----\n!!\n"...))
	authority.object("Secret/a/long", "ca.crt", append(authority.PEM(), make([]byte, 1<<20)...))
	authority.object("Secret/a/bad", "tls.crt", chain, "tls.key", []byte("-----BEGIN "+secretText+"-----\nAAAA\n-----END "+secretText+"-----\n"))
	authority.object("Secret/a/keyless", "tls.crt", chain)
	f := func(name string, s plan.TLS) {
		t.Helper()
		s.Hostname = "api.test"
		_, err := NewTLS(&s, authority.secret)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), secretText) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"Secret/a/none", "Secret/a/empty", "Secret/a/text", "Secret/a/key", "Secret/a/half", "Secret/a/long"} {
		f(name, plan.TLS{SystemRoots: true, Roots: []string{name}})
	}
	for _, name := range []string{"Secret/a/none", "Secret/a/bad", "Secret/a/keyless"} {
		f(name, plan.TLS{SystemRoots: true, ClientCertificate: name})
	}
	f("nobody is trusted", plan.TLS{})
	f("minimum version", plan.TLS{SystemRoots: true, MinVersion: "1.1"})
	f("subject alternative name", plan.TLS{SystemRoots: true, SANs: []plan.SAN{{Type: "Email", Value: "x"}}})
}

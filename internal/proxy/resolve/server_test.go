package resolve

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit/dnsserver"
)

func TestTruncatedGoesOverTCP(t *testing.T) {
	w := start(t)
	set(t, w.server, "api.test", dnsserver.Address("192.0.2.1", 60))
	w.server.Behave("api.test", dnsserver.Behaviour{Truncate: true})
	if got := w.lookup(t, "api.test"); got != "192.0.2.1" {
		t.Error(got)
	}
	if n := w.server.Queries("api.test", "tcp"); n == 0 {
		t.Error("nothing was asked over TCP")
	}
}

func TestTCPResolver(t *testing.T) {
	w := start(t)
	w.dns.Resolvers[0].TCP = true
	set(t, w.server, "api.test", dnsserver.Address("192.0.2.1", 60))
	if got := w.lookup(t, "api.test"); got != "192.0.2.1" {
		t.Error(got)
	}
	if n := w.server.Queries("api.test", "udp"); n != 0 {
		t.Errorf("%d questions over UDP", n)
	}
}

func TestNextResolver(t *testing.T) {
	f := func(name string, behaviour dnsserver.Behaviour) {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			second := serve(t)
			w.dns.Resolvers = append(w.dns.Resolvers, address(second))
			w.server.Behave(dnsserver.Every, behaviour)
			set(t, second, "api.test", dnsserver.Address("192.0.2.2", 60))
			if got := w.lookup(t, "api.test"); got != "192.0.2.2" {
				t.Error(got)
			}
		})
	}
	f("SERVFAIL", dnsserver.Behaviour{Rcode: dns.RcodeServerFailure})
	f("REFUSED", dnsserver.Behaviour{Rcode: dns.RcodeRefused})
	f("silence", dnsserver.Behaviour{Drop: true})
	f("forged alone", dnsserver.Behaviour{Forge: dnsserver.ForgeID})
}

func TestNobodyListens(t *testing.T) {
	w := start(t)
	second := serve(t)
	closed := address(w.server)
	if err := w.server.Close(); err != nil {
		t.Fatal(err)
	}
	w.dns.Resolvers = []policy.Resolver{closed, address(second)}
	set(t, second, "api.test", dnsserver.Address("192.0.2.2", 60))
	if got := w.lookup(t, "api.test"); got != "192.0.2.2" {
		t.Error(got)
	}
}

func TestNXDomainIsFinal(t *testing.T) {
	w := start(t)
	second := serve(t)
	w.dns.Resolvers = append(w.dns.Resolvers, address(second))
	set(t, second, "api.test", dnsserver.Address("192.0.2.2", 60))
	_, err := w.Lookup(t.Context(), "api.test", &w.dns)
	if e, ok := errors.AsType[*Error](err); !ok || !e.NotFound {
		t.Errorf("%v", err)
	}
	if n := second.Queries("api.test", ""); n != 0 {
		t.Errorf("the second server was asked %d times", n)
	}
}

func TestForgeriesArePassedOver(t *testing.T) {
	f := func(name string, forgery dnsserver.Forgery) {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			set(t, w.server, "api.test", dnsserver.Address("192.0.2.1", 60))
			w.server.Behave("api.test", dnsserver.Behaviour{Forge: forgery, Genuine: true})
			if got := w.lookup(t, "api.test"); got != "192.0.2.1" {
				t.Errorf("believed %s", got)
			}
		})
	}
	f("id", dnsserver.ForgeID)
	f("question", dnsserver.ForgeQuestion)
}

// TestOneFamilyFails: the other's addresses are used, and not for long.
func TestOneFamilyFails(t *testing.T) {
	w := start(t)
	w.dns.ServeStale = 0
	w.dns.Resolvers = []policy.Resolver{custom(t, func(query *dns.Msg) *dns.Msg {
		answer := new(dns.Msg).SetReply(query)
		if query.Question[0].Qtype == dns.TypeAAAA {
			answer.Rcode = dns.RcodeServerFailure
			return answer
		}
		answer.Answer = []dns.RR{record(t, query.Question[0].Name+" 300 IN A 192.0.2.1")}
		return answer
	})}
	if got := w.lookup(t, "api.test"); got != "192.0.2.1" {
		t.Error(got)
	}
	w.advance(w.dns.MinTTL)
	if _, ok := w.Cached("api.test", &w.dns); ok {
		t.Error("half an answer was kept for its whole TTL")
	}
}

// TestServerWithoutEDNS answers FORMERR with a header alone, as RFC 6891, section 7, lets it.
func TestServerWithoutEDNS(t *testing.T) {
	w := start(t)
	w.dns.Resolvers = []policy.Resolver{custom(t, func(query *dns.Msg) *dns.Msg {
		answer := new(dns.Msg).SetReply(query)
		if query.IsEdns0() != nil {
			answer.Rcode, answer.Question = dns.RcodeFormatError, nil
			return answer
		}
		if query.Question[0].Qtype == dns.TypeA {
			answer.Answer = []dns.RR{record(t, query.Question[0].Name+" 300 IN A 192.0.2.1")}
		}
		return answer
	})}
	if got := w.lookup(t, "api.test"); got != "192.0.2.1" {
		t.Error(got)
	}
}

// custom is a server on loopback that answers as told.
func custom(t *testing.T, answer func(*dns.Msg) *dns.Msg) policy.Resolver {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		_ = w.WriteMsg(answer(query))
	})}
	ended := make(chan struct{})
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() {
		defer close(ended)
		_ = server.ActivateAndServe()
	}()
	<-started
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-ended
	})
	return policy.Resolver{Address: netip.MustParseAddrPort(conn.LocalAddr().String())}
}

func record(t *testing.T, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

func TestAnswerSection(t *testing.T) {
	f := func(qtype uint16, want string, ttl time.Duration, records ...string) {
		t.Helper()
		var section []dns.RR
		for _, r := range records {
			section = append(section, record(t, r))
		}
		got, life := question{"a.test.", qtype}.addresses(section)
		if text(got) != want || len(got) > 0 && life != ttl {
			t.Errorf("%v: %s for %s, want %s for %s", records, text(got), life, want, ttl)
		}
	}
	f(dns.TypeA, "192.0.2.1", 9*time.Second, "A.test. 9 IN A 192.0.2.1")
	f(dns.TypeA, "192.0.2.1", 3*time.Second, "b.test. 9 IN A 192.0.2.1", "a.test. 3 IN CNAME b.test.")
	f(dns.TypeA, "", 0, "other.test. 9 IN A 192.0.2.1")
	f(dns.TypeA, "", 0, "a.test. 9 IN CNAME b.test.", "a.test. 9 IN A 192.0.2.1") // an alias owns nothing else
	f(dns.TypeA, "", 0, "a.test. 9 IN CNAME b.test.", "b.test. 9 IN CNAME a.test.")
	f(dns.TypeA, "", 0, "a.test. 9 CH A 192.0.2.1")
	f(dns.TypeA, "", 0, "a.test. 9 IN AAAA 2001:db8::1")
	f(dns.TypeA, "192.0.2.1", 0, "a.test. 9 IN A 192.0.2.1", "a.test. 4294967295 IN A 192.0.2.1")
	f(dns.TypeAAAA, "2001:db8::1", 9*time.Second, "a.test. 9 IN AAAA 2001:db8::1", "a.test. 9 IN AAAA ::ffff:127.0.0.1")
}

func FuzzRead(f *testing.F) {
	q := question{"api.test.", dns.TypeA}
	query := new(dns.Msg).SetQuestion(q.name, q.qtype)
	query.Id = 7
	good := new(dns.Msg).SetReply(query)
	for _, text := range []string{"api.test. 60 IN CNAME lb.test.", "lb.test. 60 IN A 192.0.2.1", "lb.test. 60 IN AAAA 2001:db8::1"} {
		rr, err := dns.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		good.Answer = append(good.Answer, rr)
	}
	packet, err := good.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packet)
	f.Add(packet[:12])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, packet []byte) {
		list, ttl, err := q.read(7, packet)
		if err != nil && len(list) > 0 {
			t.Fatalf("addresses with an error: %v", err)
		}
		if len(list) > maxAddresses || ttl < 0 || ttl > 1<<31*time.Second {
			t.Fatalf("out of bounds: %d addresses for %s", len(list), ttl)
		}
		for _, a := range list {
			if !a.Is4() {
				t.Fatalf("%s for a question for A", a)
			}
		}
		if _, _, err := q.read(8, packet); len(packet) > 1 && packet[1] == 7 && !errors.Is(err, errMismatch) {
			t.Fatalf("another id was accepted: %v", err)
		}
	})
}

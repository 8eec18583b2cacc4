package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, config Config) *Server {
	t.Helper()
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func set(t *testing.T, s *Server, name string, records ...Record) {
	t.Helper()
	if err := s.Set(name, records...); err != nil {
		t.Fatal(err)
	}
}

func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func ask(t *testing.T, s *Server, network, name string, kind uint16) (*dns.Msg, error) {
	t.Helper()
	client := dns.Client{Net: network}
	message, _, err := client.ExchangeContext(patience(t), new(dns.Msg).SetQuestion(dns.Fqdn(name), kind), s.Addr())
	return message, err
}

// data are the answer section's records as "type value ttl".
func data(message *dns.Msg) []string {
	var list []string
	for _, rr := range message.Answer {
		value := ""
		switch rr := rr.(type) {
		case *dns.A:
			value = rr.A.String()
		case *dns.AAAA:
			value = rr.AAAA.String()
		case *dns.CNAME:
			value = rr.Target
		case *dns.PTR:
			value = rr.Ptr
		}
		list = append(list, fmt.Sprint(dns.TypeToString[rr.Header().Rrtype], " ", value, " ", rr.Header().Ttl))
	}
	return list
}

func TestAnswers(t *testing.T) {
	s := start(t, Config{NegativeTTL: 7})
	reverse, err := ReverseName("192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	set(t, s, "API.example.com", Address("192.0.2.1", 5), Address("192.0.2.2", 6), Address("2001:db8::1", 7))
	set(t, s, "alias.example.com", Alias("api.example.com", 60))
	set(t, s, "away.example.com", Alias("elsewhere.example", 60))
	set(t, s, "loop.example.com", Alias("loop.example.com", 60))
	set(t, s, "empty.example.com")
	set(t, s, reverse, Pointer("api.example.com", 30))

	check := func(name string, kind uint16, rcode int, want ...string) {
		t.Helper()
		for _, network := range []string{"udp", "tcp"} {
			message, err := ask(t, s, network, name, kind)
			if err != nil {
				t.Fatal(err)
			}
			if message.Rcode != rcode || !slices.Equal(data(message), want) {
				t.Errorf("%s over %s: %s %v", name, network, dns.RcodeToString[message.Rcode], data(message))
			}
			if soa := len(message.Ns) == 1 && message.Ns[0].(*dns.SOA).Minttl == 7; soa != (len(want) == 0) {
				t.Errorf("%s over %s: authority %v", name, network, message.Ns)
			}
		}
	}
	check("api.example.com", dns.TypeA, dns.RcodeSuccess, "A 192.0.2.1 5", "A 192.0.2.2 6")
	check("api.EXAMPLE.com", dns.TypeAAAA, dns.RcodeSuccess, "AAAA 2001:db8::1 7")
	check("alias.example.com", dns.TypeAAAA, dns.RcodeSuccess, "CNAME api.example.com. 60", "AAAA 2001:db8::1 7")
	check("alias.example.com", dns.TypeCNAME, dns.RcodeSuccess, "CNAME api.example.com. 60")
	check("away.example.com", dns.TypeA, dns.RcodeSuccess, "CNAME elsewhere.example. 60")
	check("1.2.0.192.in-addr.arpa", dns.TypePTR, dns.RcodeSuccess, "PTR api.example.com. 30")
	check("empty.example.com", dns.TypeA, dns.RcodeSuccess)
	check("unknown.example.com", dns.TypeA, dns.RcodeNameError)

	if message, err := ask(t, s, "tcp", "loop.example.com", dns.TypeA); err != nil || len(message.Answer) != maxAliases {
		t.Errorf("loop: %v, %v", message, err)
	}
	set(t, s, "api.example.com", Address("192.0.2.9", 1))
	check("api.example.com", dns.TypeA, dns.RcodeSuccess, "A 192.0.2.9 1")
	s.Remove("api.example.com")
	check("api.example.com", dns.TypeA, dns.RcodeNameError)
}

func TestSetRefusesWhatIsNoRecord(t *testing.T) {
	s := start(t, Config{})
	set(t, s, "a.example", Address("192.0.2.1", 1))
	for _, bad := range []Record{Address("nowhere", 1), Alias("", 1), Pointer("a..b", 1)} {
		if err := s.Set("a.example", bad); err == nil {
			t.Errorf("set %+v", bad)
		}
	}
	if message, err := ask(t, s, "udp", "a.example", dns.TypeA); err != nil || len(message.Answer) != 1 {
		t.Errorf("the old record is gone: %v, %v", message, err)
	}
}

func TestCountsByNetworkAndType(t *testing.T) {
	s := start(t, Config{})
	for _, q := range []Query{{"a.example", dns.TypeA, "udp"}, {"A.example.", dns.TypeAAAA, "udp"}, {"a.example", dns.TypeA, "tcp"}} {
		if _, err := ask(t, s, q.Network, q.Name, q.Type); err != nil {
			t.Fatal(err)
		}
	}
	got := []int{s.Queries("a.example", "udp"), s.Queries("a.example", "tcp"), s.Queries("a.example", ""), s.Asked("a.example", dns.TypeA), s.Queries("b.example", "")}
	if !slices.Equal(got, []int{2, 1, 3, 2, 0}) {
		t.Error(got)
	}
}

func TestErrorCodes(t *testing.T) {
	s := start(t, Config{})
	set(t, s, "a.example", Address("192.0.2.1", 1))
	s.Behave(Every, Behaviour{Rcode: dns.RcodeServerFailure})
	s.Behave("a.example", Behaviour{Rcode: dns.RcodeNameError})
	for name, want := range map[string]int{"a.example": dns.RcodeNameError, "b.example": dns.RcodeServerFailure} {
		if message, err := ask(t, s, "udp", name, dns.TypeA); err != nil || message.Rcode != want || len(message.Answer) != 0 {
			t.Errorf("%s: %v, %v", name, message, err)
		}
	}
	s.Behave("a.example", Behaviour{})
	if message, err := ask(t, s, "udp", "a.example", dns.TypeA); err != nil || len(message.Answer) != 1 {
		t.Errorf("truthful again: %v, %v", message, err)
	}
}

func TestTruncation(t *testing.T) {
	s := start(t, Config{})
	set(t, s, "asked.example", Address("192.0.2.1", 1))
	s.Behave("asked.example", Behaviour{Truncate: true})
	var many []Record
	for i := range 100 {
		many = append(many, Address(fmt.Sprintf("192.0.2.%d", i), 1))
	}
	set(t, s, "large.example", many...)
	for name, want := range map[string]int{"asked.example": 1, "large.example": 100} {
		udp, err := ask(t, s, "udp", name, dns.TypeA)
		if err != nil || !udp.Truncated || len(udp.Answer) >= want {
			t.Errorf("%s over UDP: %v, %v", name, udp, err)
		}
		tcp, err := ask(t, s, "tcp", name, dns.TypeA)
		if err != nil || tcp.Truncated || len(tcp.Answer) != want {
			t.Errorf("%s over TCP: %v, %v", name, tcp, err)
		}
	}
}

func TestGate(t *testing.T) {
	s, gate := start(t, Config{}), make(chan struct{})
	set(t, s, "a.example", Address("192.0.2.1", 1))
	s.Behave("a.example", Behaviour{Gate: gate})
	answered := make(chan error, 1)
	go func() {
		_, err := ask(t, s, "udp", "a.example", dns.TypeA)
		answered <- err
	}()
	if err := s.WaitQueries(patience(t), "a.example", 1); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-answered:
		t.Fatalf("answered at a shut gate: %v", err)
	default:
	}
	close(gate)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestDropAndCloseAtAShutGate(t *testing.T) {
	s := start(t, Config{})
	s.Behave("drop.example", Behaviour{Drop: true})
	s.Behave("gate.example", Behaviour{Gate: make(chan struct{})}) // Close must not wait for it
	for _, name := range []string{"drop.example", "gate.example"} {
		for _, network := range []string{"udp", "tcp"} {
			client := dns.Client{Net: network, Timeout: 50 * time.Millisecond}
			_, _, err := client.ExchangeContext(patience(t), new(dns.Msg).SetQuestion(name+".", dns.TypeA), s.Addr())
			var failure net.Error
			if !errors.As(err, &failure) || !failure.Timeout() && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s over %s: %v", name, network, err)
			}
		}
		if s.Queries(name, "udp") != 1 || s.Queries(name, "tcp") != 1 {
			t.Errorf("%s: not counted", name)
		}
	}
}

// TestForgeries reads datagrams bare, because clients worth their name hide forged ones.
func TestForgeries(t *testing.T) {
	s := start(t, Config{})
	set(t, s, "a.example", Address("192.0.2.1", 1))
	for _, how := range []Forgery{ForgeID, ForgeQuestion} {
		s.Behave("a.example", Behaviour{Forge: how, Genuine: true})
		c, err := dns.DialTimeout("udp", s.Addr(), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		query := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
		if err := c.WriteMsg(query); err != nil {
			t.Fatal(err)
		}
		lie, err := c.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		if (lie.Id != query.Id) != (how == ForgeID) || (lie.Question[0] != query.Question[0]) != (how == ForgeQuestion) ||
			lie.Answer[0].(*dns.A).A.String() != ForgedAddress {
			t.Errorf("forgery %d: %v", how, lie)
		}
		truth, err := c.ReadMsg()
		if err != nil || truth.Id != query.Id || truth.Question[0] != query.Question[0] || data(truth)[0] != "A 192.0.2.1 1" {
			t.Errorf("after forgery %d: %v, %v", how, truth, err)
		}
		_ = c.Close()
	}
	s.Behave("a.example", Behaviour{Forge: ForgeID})
	if message, err := ask(t, s, "tcp", "a.example", dns.TypeA); err == nil {
		t.Errorf("over TCP: %v", message)
	}
}

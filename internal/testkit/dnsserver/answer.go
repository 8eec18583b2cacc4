package dnsserver

import (
	"net"

	"github.com/miekg/dns"
)

func (s *Server) handler(network string) dns.Handler {
	return dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		if len(query.Question) != 1 {
			s.write(w, new(dns.Msg).SetRcode(query, dns.RcodeFormatError))
			return
		}
		question := query.Question[0]
		name := canonical(question.Name)
		behaviour := s.behaviourOf(name) // before the query is counted: who waits for the count may change it next
		s.counted(Query{Name: name, Type: question.Qtype, Network: network})
		if behaviour.Drop || !s.pass(behaviour.Gate) {
			return
		}
		if behaviour.Forge != ForgeNothing {
			s.write(w, forged(query, behaviour.Forge))
			if !behaviour.Genuine {
				return
			}
		}
		s.write(w, s.answer(query, network, behaviour))
	})
}

func (s *Server) pass(gate <-chan struct{}) bool {
	if gate == nil {
		return true
	}
	select {
	case <-gate:
		return true
	case <-s.closing:
		return false
	}
}

// answer is the truth, as far as the behaviour lets it be told.
func (s *Server) answer(query *dns.Msg, network string, behaviour Behaviour) *dns.Msg {
	message := new(dns.Msg).SetReply(query)
	message.Authoritative, message.RecursionAvailable = true, true // stub resolvers expect the latter
	size := dns.MinMsgSize
	if edns := query.IsEdns0(); edns != nil {
		message.SetEdns0(maxDatagram, false)
		size = max(size, min(int(edns.UDPSize()), maxDatagram))
	}
	if behaviour.Rcode != dns.RcodeSuccess {
		message.Rcode = behaviour.Rcode
		if behaviour.Rcode == dns.RcodeNameError {
			s.deny(message)
		}
		return message
	}
	if behaviour.Truncate && network == "udp" {
		message.Truncated = true
		return message
	}
	question := query.Question[0]
	answer, known := s.lookup(canonical(question.Name), question.Qtype)
	message.Answer = answer
	if !known {
		message.Rcode = dns.RcodeNameError
	}
	if len(answer) == 0 {
		s.deny(message)
	}
	if network == "udp" {
		message.Truncate(size)
	}
	return message
}

// deny says how long the absence may be believed (RFC 2308, section 5).
func (s *Server) deny(message *dns.Msg) {
	if ttl := s.config.NegativeTTL; ttl > 0 {
		message.Ns = []dns.RR{&dns.SOA{
			Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
			Ns:  "ns.invalid.", Mbox: "hostmaster.invalid.", Serial: 1, Refresh: 1, Retry: 1, Expire: 1, Minttl: ttl,
		}}
	}
}

// forged claims an address under a wrong id, or for a question that nobody asked.
func forged(query *dns.Msg, how Forgery) *dns.Msg {
	message := new(dns.Msg).SetReply(query)
	name := query.Question[0].Name
	switch how {
	case ForgeID:
		message.Id ^= 1
	case ForgeQuestion:
		name = "forged.invalid."
		message.Question[0].Name = name
	}
	message.Answer = []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 3600},
		A:   net.ParseIP(ForgedAddress),
	}}
	return message
}

// write sends a message. A client that left is no matter.
func (s *Server) write(w dns.ResponseWriter, message *dns.Msg) { _ = w.WriteMsg(message) }

package dnsserver

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// Record is one answer: see Address, Alias and Pointer.
type Record struct {
	kind  uint16 // dns.TypeNone: an address of either family
	value string
	ttl   uint32
}

// Address is an A or AAAA record, as the address's family has it. The TTL is in seconds.
func Address(address string, ttl uint32) Record { return Record{dns.TypeNone, address, ttl} }

// Alias is a CNAME record.
func Alias(target string, ttl uint32) Record { return Record{dns.TypeCNAME, target, ttl} }

// Pointer is a PTR record: the name of an address, set under ReverseName.
func Pointer(target string, ttl uint32) Record { return Record{dns.TypePTR, target, ttl} }

// ReverseName is where an address's PTR records stand (RFC 1035, section 3.5; RFC 3596, section 2.5).
func ReverseName(address string) (string, error) {
	name, err := dns.ReverseAddr(address)
	if err != nil {
		return "", fmt.Errorf("name of address: %w", err)
	}
	return name, nil
}

// Forgery is a lie for a client to see through.
type Forgery uint8

// The forgeries. Their answers hold ForgedAddress.
const (
	ForgeNothing  Forgery = iota
	ForgeID               // another transaction id
	ForgeQuestion         // another question
)

// ForgedAddress is what a forged answer claims.
const ForgedAddress = "203.0.113.66"

// Behaviour is how queries for a name fare, whatever its records. The zero value answers truthfully.
type Behaviour struct {
	Rcode    int             // dns.RcodeServerFailure or dns.RcodeNameError, for example, in place of an answer
	Drop     bool            // never answer; a TCP connection is left open until the client's patience or the server ends
	Truncate bool            // over UDP: TC and no record, so that the client asks again over TCP
	Gate     <-chan struct{} // a value, or closing it, lets a query be answered; nil does not wait
	Forge    Forgery         // send a forged answer
	Genuine  bool            // send the truth after the forged answer
}

// Every is the name under which Behave sets what befalls names that have no behaviour of their own.
const Every = "*"

// Set replaces a name's records, at once. With none the name exists and has no data; see Remove.
func (s *Server) Set(name string, records ...Record) error {
	name = canonical(name)
	list := make([]dns.RR, 0, len(records))
	for _, record := range records {
		rr, err := record.build(name)
		if err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
		list = append(list, rr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[name] = list
	return nil
}

// Remove makes a name unknown: NXDOMAIN.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, canonical(name))
}

// Behave replaces a name's behaviour, at once; the zero one makes it truthful again.
func (s *Server) Behave(name string, behaviour Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviour[canonical(name)] = behaviour
}

func (s *Server) behaviourOf(name string) Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own, ok := s.behaviour[name]; ok {
		return own
	}
	return s.behaviour[canonical(Every)]
}

func (r Record) build(name string) (dns.RR, error) {
	header := dns.RR_Header{Name: name, Class: dns.ClassINET, Ttl: r.ttl, Rrtype: r.kind}
	if r.kind != dns.TypeNone {
		if _, ok := dns.IsDomainName(r.value); !ok || r.value == "" {
			return nil, fmt.Errorf("parse target: %q is no domain name", r.value)
		}
		if r.kind == dns.TypeCNAME {
			return &dns.CNAME{Hdr: header, Target: dns.Fqdn(r.value)}, nil
		}
		return &dns.PTR{Hdr: header, Ptr: dns.Fqdn(r.value)}, nil
	}
	address, err := netip.ParseAddr(r.value)
	if err != nil {
		return nil, fmt.Errorf("parse address: %w", err)
	}
	if address.Is4() {
		header.Rrtype = dns.TypeA
		return &dns.A{Hdr: header, A: address.AsSlice()}, nil
	}
	header.Rrtype = dns.TypeAAAA
	return &dns.AAAA{Hdr: header, AAAA: address.AsSlice()}, nil
}

// lookup finds the answer to a question, following aliases as far as the server knows their targets.
func (s *Server) lookup(name string, kind uint16) (answer []dns.RR, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range maxAliases {
		records, ok := s.records[name]
		if !ok {
			return answer, len(answer) > 0
		}
		next := ""
		for _, rr := range records {
			switch alias, isAlias := rr.(*dns.CNAME); {
			case rr.Header().Rrtype == kind:
				answer = append(answer, rr)
			case isAlias:
				answer, next = append(answer, rr), canonical(alias.Target)
			}
		}
		if next == "" {
			return answer, true
		}
		name = next
	}
	return answer, true
}

const maxAliases = 16 // of a chain, or of a loop

func canonical(name string) string { return strings.ToLower(dns.Fqdn(name)) }

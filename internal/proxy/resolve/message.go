package resolve

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	payload  = 1232 // UDP answer we take without fragments (RFC 6891, section 6.2.3; DNS Flag Day 2020)
	maxChain = 16   // CNAMEs followed within an answer
)

var (
	errMismatch  = errors.New("the message does not answer the question")
	errTruncated = errors.New("the answer is truncated")
	errFormat    = errors.New("the server does not understand the question")
)

// question is what is asked: an absolute name and a type.
type question struct {
	name  string
	qtype uint16
}

// pack is the query, with a random id and, unless the server knows none, EDNS.
func (q question) pack(edns bool) (id uint16, packet []byte, err error) {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.qtype)
	if edns {
		m.SetEdns0(payload, false)
	}
	packet, err = m.Pack()
	return m.Id, packet, err
}

// read takes a packet for the answer to q. errMismatch and what cannot be parsed say nothing about the name: on UDP they
// may come from anybody and are passed over. A name that does not exist is errNotFound; one without records of the type has
// no addresses and no error.
func (q question) read(id uint16, packet []byte) ([]netip.Addr, time.Duration, error) {
	var m dns.Msg
	if err := m.Unpack(packet); err != nil {
		return nil, 0, errMismatch
	}
	if m.Id != id || !m.Response || m.Opcode != dns.OpcodeQuery {
		return nil, 0, errMismatch
	}
	if len(m.Question) == 0 && (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented) {
		return nil, 0, errFormat // RFC 6891, section 7: servers without EDNS may return the header alone
	}
	if len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, q.name) ||
		m.Question[0].Qtype != q.qtype || m.Question[0].Qclass != dns.ClassINET {
		return nil, 0, errMismatch
	}
	switch {
	case m.Truncated:
		return nil, 0, errTruncated
	case m.Rcode == dns.RcodeFormatError, m.Rcode == dns.RcodeNotImplemented:
		return nil, 0, errFormat
	case m.Rcode == dns.RcodeNameError:
		return nil, 0, errNotFound
	case m.Rcode != dns.RcodeSuccess:
		return nil, 0, fmt.Errorf("the server answered %s", rcode(m.Rcode))
	}
	addresses, ttl := q.addresses(m.Answer)
	return addresses, ttl, nil
}

// addresses follows the CNAME chain from the name asked to its end and takes the addresses there; records of other
// names are nobody's business. The TTL is the least on the way.
func (q question) addresses(records []dns.RR) ([]netip.Addr, time.Duration) {
	owner, ttl := q.name, uint32(1<<31-1)
	for range maxChain {
		next := ""
		for _, rr := range records {
			if alias, ok := rr.(*dns.CNAME); ok && owns(alias.Hdr, owner) {
				next, ttl = alias.Target, min(ttl, life(alias.Hdr))
				break
			}
		}
		if next == "" {
			break
		}
		owner = next
	}
	var list []netip.Addr
	for _, rr := range records {
		a, ok := q.address(rr)
		if !ok || !owns(*rr.Header(), owner) {
			continue
		}
		list = keep(list, a)
		ttl = min(ttl, life(*rr.Header()))
	}
	return list, time.Duration(ttl) * time.Second
}

// address is the record's address if it is of the type asked. An IPv4 address within an AAAA record would step around
// the choice of family and is none.
func (q question) address(rr dns.RR) (netip.Addr, bool) {
	switch record := rr.(type) {
	case *dns.A:
		a, ok := netip.AddrFromSlice(record.A.To4())
		return a, ok && q.qtype == dns.TypeA
	case *dns.AAAA:
		a, ok := netip.AddrFromSlice(record.AAAA)
		return a, ok && a.Is6() && !a.Is4In6() && q.qtype == dns.TypeAAAA
	}
	return netip.Addr{}, false
}

func owns(h dns.RR_Header, name string) bool {
	return h.Class == dns.ClassINET && strings.EqualFold(h.Name, name)
}

// life is a record's TTL; with the top bit set it is none (RFC 2181, section 8).
func life(h dns.RR_Header) uint32 {
	if h.Ttl > 1<<31-1 {
		return 0
	}
	return h.Ttl
}

func rcode(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("code %d", code)
}

// Package session keeps a client's requests together (GEP-1619): it reads from a request which backend and endpoint
// answered the client's first one, and writes it into answers, as a cookie or a field. It picks nothing, and what a token
// names may be gone, unhealthy or vetoed: then proxy picks as if there were no session. proxy compiles a Session for each
// rule that has one, computes the ids of its backends and endpoints while it builds the table, and asks it once a request
// and once an answer.
//
// A token holds no address and no name, only digests salted with the rule's name, which every replica computes alike.
// That is no secrecy against who knows the salt and tries addresses, and a token is not signed: a client that makes one
// up gets an endpoint of its choice among those of the rule's backends, for as long as it likes: also of a backend of weight
// 0, which takes no new clients and keeps those that it has.
package session

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"strconv"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// Session is a rule's session persistence, compiled. It is immutable.
type Session struct {
	plan plan.Session
	salt string
}

// New compiles a session. The salt is the rule's name: what one rule's token names means nothing to another rule, be
// their sessions' names the same.
func New(p *plan.Session, salt string) *Session { return &Session{*p, salt} }

// ID stands for a backend or an endpoint in tokens. The zero ID stands for none.
type ID [16]byte

// Backend is the id of a backend.
func (s *Session) Backend(name string) ID { return s.digest("backend", name) }

// Endpoint is the id of a backend's endpoint.
func (s *Session) Endpoint(backend string, address netip.AddrPort) ID {
	return s.digest("endpoint", backend, address.String())
}

// digest is of the salt and the parts, none of which holds a NUL.
func (s *Session) digest(parts ...string) (id ID) {
	h := sha256.New()
	h.Write([]byte(s.salt))
	for _, part := range parts {
		h.Write([]byte{0})
		h.Write([]byte(part))
	}
	copy(id[:], h.Sum(nil))
	return id
}

// Token is what a client carries.
type Token struct {
	issued   uint32 // seconds since 1970: when the session began
	seen     uint32 // when it was last renewed
	backend  ID
	endpoint ID
}

// Backend reports whether the token names the backend.
func (t *Token) Backend(id ID) bool { return t.backend == id && id != ID{} }

// Endpoint reports whether the token names the endpoint.
func (t *Token) Endpoint(id ID) bool { return t.endpoint == id && id != ID{} }

// The form of a token: base64url of a version, two times and two ids.
const (
	version = 1
	size    = 1 + 4 + 4 + 16 + 16
	length  = (size*8 + 5) / 6 // of the text
)

// skew is how far ahead another replica's clock may be.
const skew = time.Minute

// Read is the session that a request carries; ok is false where it carries none that is in force, or several that differ.
func (s *Session) Read(req *exchange.Header, now time.Time) (t Token, ok bool) {
	value, ok := s.carried(req)
	if !ok {
		return Token{}, false
	}
	if t, ok = parse(value); !ok || !s.inForce(&t, now) {
		return Token{}, false
	}
	return t, true
}

func (s *Session) inForce(t *Token, now time.Time) bool {
	age, silence := since(t.issued, now), since(t.seen, now)
	return age >= -skew && silence >= -skew && age >= silence && t.backend != ID{} &&
		(s.plan.Absolute <= 0 || age < s.plan.Absolute) && (s.plan.Idle <= 0 || silence < s.plan.Idle)
}

func since(seconds uint32, now time.Time) time.Duration {
	return time.Duration(now.Unix()-int64(seconds)) * time.Second
}

func parse(text string) (t Token, ok bool) {
	if len(text) != length {
		return Token{}, false
	}
	var source [length]byte
	var b [size]byte
	copy(source[:], text)
	if n, err := base64.RawURLEncoding.Strict().Decode(b[:], source[:]); err != nil || n != size || b[0] != version {
		return Token{}, false
	}
	t.issued, t.seen = binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:])
	copy(t.backend[:], b[9:])
	copy(t.endpoint[:], b[25:])
	return t, true
}

func (t *Token) text() string {
	var b [size]byte
	b[0] = version
	binary.BigEndian.PutUint32(b[1:], t.issued)
	binary.BigEndian.PutUint32(b[5:], t.seen)
	copy(b[9:], t.backend[:])
	copy(b[25:], t.endpoint[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Write tells the client, in an answer's fields, which backend and endpoint answered. The token is the one that came with
// the request, zero where none did: nothing is written where it says so already and needs no renewal. A session that goes
// on elsewhere begins anew. Secure is whether the client came over TLS.
func (s *Session) Write(res *exchange.Header, t Token, backend, endpoint ID, secure bool, now time.Time) {
	next := Token{backend: backend, endpoint: endpoint, seen: uint32(now.Unix())} //nolint:gosec // until 2106
	next.issued = next.seen
	if t.backend == backend && t.endpoint == endpoint {
		if s.plan.Idle <= 0 || t.seen >= next.seen {
			return
		}
		next.issued = t.issued
	}
	if s.plan.Type == plan.SessionHeader {
		res.Set(s.plan.Name, next.text())
		return
	}
	res.Add("Set-Cookie", s.plan.Name+"="+next.text()+s.attributes(since(next.issued, now), secure))
}

// attributes are the cookie's (RFC 6265, section 4.1.2): for this host alone, out of the reach of scripts and of most
// requests that other sites cause.
func (s *Session) attributes(age time.Duration, secure bool) string {
	text := "; Path=/; HttpOnly; SameSite=Lax"
	if secure {
		text += "; Secure"
	}
	if s.plan.Permanent && s.plan.Absolute > 0 {
		text += "; Max-Age=" + strconv.Itoa(max(1, int((s.plan.Absolute-age)/time.Second)))
	}
	return text
}

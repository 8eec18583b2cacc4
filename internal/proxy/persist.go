package proxy

import (
	"net/netip"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/session"
)

// persistence is a session as a candidate has it: the rule's own, else the destination's.
type persistence struct {
	*session.Session
	backend session.ID
}

// persistent is nil where nothing asks for sessions. The salt is the rule's name: its tokens mean nothing to other rules.
func persistent(r *plan.Rule, backend string, policys *plan.Session) *persistence {
	setting := r.Session
	if setting == nil {
		setting = policys
	}
	if setting == nil {
		return nil
	}
	s := session.New(setting, r.Name)
	return &persistence{s, s.Backend(backend)}
}

// remembered is the index of the candidate that the client's session names; -1 where it has none.
func (j *journey) remembered() int {
	for i, c := range j.rule.candidates {
		if c.persistence == nil || c.fault != nil {
			continue
		}
		if token, ok := c.persistence.Read(&j.x.Request.Header, time.Now()); ok && token.Backend(c.persistence.backend) {
			j.token = token
			return i
		}
	}
	return -1
}

// endpoint is the one of a backend's own addresses that the client's session names; invalid where it names none.
func (j *journey) endpoint(c *candidate) netip.AddrPort {
	if c.persistence == nil || !j.token.Backend(c.persistence.backend) {
		return netip.AddrPort{}
	}
	for _, a := range c.target.Endpoints() {
		if j.token.Endpoint(c.persistence.Endpoint(c.backend.Name, a)) {
			return a
		}
	}
	return netip.AddrPort{}
}

// remember writes into an answer who gave it.
func (j *journey) remember(c *candidate, res *exchange.Header) {
	if c.persistence == nil {
		return
	}
	var endpoint session.ID
	if c.backend.Origin != plan.Resolved {
		endpoint = c.persistence.Endpoint(c.backend.Name, j.up.Address())
	}
	c.persistence.Write(res, j.token, c.persistence.backend, endpoint, j.peer.Secure, time.Now())
}

package session

import (
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// carried is the text of the request's token, where there is one and no other.
func (s *Session) carried(req *exchange.Header) (text string, ok bool) {
	for _, f := range req.Fields() {
		switch {
		case s.plan.Type == plan.SessionHeader:
			if exchange.EqualFold(f.Name, s.plan.Name) {
				if ok && f.Value != text {
					return "", false
				}
				text, ok = f.Value, true
			}
		case exchange.EqualFold(f.Name, cookie):
			for rest := f.Value; rest != ""; {
				var pair string
				pair, rest, _ = strings.Cut(rest, ";")
				value, ours := s.own(pair)
				if ours && ok && value != text {
					return "", false
				}
				if ours {
					text, ok = value, true
				}
			}
		}
	}
	return text, ok
}

const cookie = "Cookie"

// own is the value of a cookie pair of the session's name (RFC 6265, section 4.2.1). Names of cookies have their case.
func (s *Session) own(pair string) (value string, ours bool) {
	name, value, found := strings.Cut(pair, "=")
	if !found || strings.Trim(name, " \t") != s.plan.Name {
		return "", false
	}
	return strings.Trim(value, " \t"), true
}

// Strip takes the session out of what a destination is sent: it is between the client and us. Other cookies stay byte for
// byte.
func (s *Session) Strip(req *exchange.Header) {
	if s.plan.Type == plan.SessionHeader {
		req.Del(s.plan.Name)
		return
	}
	gone := false
	fields := req.Fields()
	for i := range fields {
		f := &fields[i]
		if !exchange.EqualFold(f.Name, cookie) {
			continue
		}
		if kept, found := s.without(f.Value); found {
			f.Value = kept
			if kept == "" {
				f.Name, gone = "", true
			}
		}
	}
	if gone {
		req.Filter(func(f exchange.Field) bool { return f.Name != "" })
	}
}

// without is a Cookie field without the session's pairs.
func (s *Session) without(value string) (kept string, found bool) {
	for rest, more := value, true; more; {
		var pair string
		if pair, rest, more = strings.Cut(rest, ";"); s.owns(pair) {
			found = true
		}
	}
	if !found {
		return value, false
	}
	var b strings.Builder
	for rest, more, first := value, true, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, ";")
		switch {
		case s.owns(pair):
			continue
		case first:
			pair, first = strings.TrimLeft(pair, " \t"), false
		default:
			b.WriteByte(';')
		}
		b.WriteString(pair)
	}
	return b.String(), true
}

func (s *Session) owns(pair string) bool {
	_, ours := s.own(pair)
	return ours
}

package http1

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// setTarget sorts the target into one of the four forms of RFC 9112, section 3.2. What is wrong is in text.
func setTarget(req *exchange.Request, target string) (text string) {
	switch {
	case req.Method == http.MethodConnect:
		if _, port, ok := splitAuthority(target); !ok || port == "" {
			return "malformed CONNECT target"
		}
		req.Authority = target
		return ""
	case target[0] == '/':
		setPath(req, target)
		return ""
	case target == "*":
		if req.Method != http.MethodOptions {
			return "target * without OPTIONS"
		}
		req.Path = "*"
		return ""
	case hasPrefixFold(target, "http://"):
		req.Scheme = "http"
	case hasPrefixFold(target, "https://"):
		req.Scheme = "https"
	default:
		return "malformed target"
	}
	req.Absolute = true
	return setAbsolute(req, target[len(req.Scheme)+len("://"):])
}

func setAbsolute(req *exchange.Request, rest string) (text string) {
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	req.Authority = rest[:end]
	if _, _, ok := splitAuthority(req.Authority); !ok {
		return "malformed authority in the target"
	}
	setPath(req, rest[end:])
	if req.Path == "" {
		req.Path = "/"
		if req.Method == http.MethodOptions && req.Query == "" {
			req.Path = "*" // RFC 9112, section 3.2.4
		}
	}
	return ""
}

func setPath(req *exchange.Request, s string) {
	if i := strings.IndexByte(s, '?'); i >= 0 {
		req.Path, req.Query = s[:i], s[i:]
		return
	}
	req.Path = s
}

// host judges the Host field, and takes the authority from it where the target had none (RFC 9112, section 3.2).
func (r *Reader) host(req *exchange.Request) error {
	f := &r.facts
	switch {
	case f.hosts > 1:
		return r.bad("more than one Host")
	case f.hosts == 0:
		if req.Version == exchange.HTTP10 {
			return nil
		}
		return r.bad("no Host")
	}
	host, port, ok := splitAuthority(f.host)
	if !ok {
		return r.bad("malformed Host")
	}
	if req.Authority == "" {
		req.Authority = f.host
		return nil
	}
	name, want, _ := splitAuthority(req.Authority)
	if !exchange.EqualFold(host, name) || !samePort(port, want, req.Scheme) {
		return r.bad("Host and target differ")
	}
	return nil
}

// samePort compares ports where one may be left to the scheme. A CONNECT has no scheme, and its clients leave out
// either of the usual ports in Host.
func samePort(host, target, scheme string) bool {
	if host == target {
		return true
	}
	usual := func(port string) bool {
		return port == "" || port == "80" && scheme != "https" || port == "443" && scheme != "http"
	}
	return (host == "" || target == "") && usual(host) && usual(target)
}

// splitAuthority takes host[:port] apart, and refuses whatever is no registered name, IPv4 address or bracketed IPv6
// address with an optional port of 1 to 65535. User information, escapes, empty labels and empty ports are refused.
func splitAuthority(s string) (host, port string, ok bool) {
	if s != "" && s[0] == '[' {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", false
		}
		addr, err := netip.ParseAddr(s[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", "", false
		}
		host, s = s[:end+1], s[end+1:]
	} else {
		end := run(bytesOf(s), isHost)
		host, s = s[:end], s[end:]
		if end == 0 || end > 255 || host[0] == '.' || strings.Contains(host, "..") {
			return "", "", false
		}
	}
	if s == "" {
		return host, "", true
	}
	return host, s[1:], s[0] == ':' && validPort(s[1:])
}

// validPort refuses leading zeros, so that one port has one spelling.
func validPort(s string) bool {
	if s == "" || len(s) > 5 || s[0] == '0' || run(bytesOf(s), isDigit) != len(s) {
		return false
	}
	return len(s) < 5 || s <= "65535"
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && exchange.EqualFold(s[:len(prefix)], prefix)
}

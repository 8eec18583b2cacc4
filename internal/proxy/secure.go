package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// secured is the TLS of one port of a Gateway, kept from table to table while nothing it was made from changes, so that
// session tickets stay good.
type secured struct {
	config    *tls.Config
	listeners []*plan.Listener
	secrets   []*plan.Secret
}

// listenerTLS is the TLS configuration of a Gateway's port; nil where its listeners are plain.
func (b *builder) listenerTLS(g *plan.Gateway, number int) (*tls.Config, error) {
	made := &secured{}
	for _, l := range g.Listeners {
		if l.Port != number || l.Protocol != plan.HTTPS {
			continue
		}
		made.listeners = append(made.listeners, l)
		for _, name := range l.Certificates {
			made.secrets = append(made.secrets, b.secret(name))
		}
	}
	if len(made.listeners) == 0 {
		return nil, nil
	}
	key := g.Name + ":" + strconv.Itoa(number)
	if old := b.server.secure[key]; old != nil && slices.Equal(old.listeners, made.listeners) && slices.Equal(old.secrets, made.secrets) {
		b.secure[key] = old
		return old.config, nil
	}
	certificates, err := certificates(made.listeners, b.secret)
	if err != nil {
		return nil, err
	}
	made.config = &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: certificates.choose,
	}
	b.secure[key] = made
	return made.config, nil
}

// byHostname are the certificates of a port's listeners, by the listeners' hostnames.
type byHostname map[string][]*tls.Certificate

func certificates(listeners []*plan.Listener, secret func(string) *plan.Secret) (byHostname, error) {
	all := byHostname{}
	for _, l := range listeners {
		hostname := strings.ToLower(l.Hostname)
		for _, name := range l.Certificates {
			found := secret(name)
			if found == nil {
				return nil, fmt.Errorf("listener %s: %s is not there", l.Name, name)
			}
			pair, err := tls.X509KeyPair(found.Data["tls.crt"].Reveal(), found.Data["tls.key"].Reveal())
			if err != nil {
				return nil, fmt.Errorf("listener %s: %s: %w", l.Name, name, err)
			}
			all[hostname] = append(all[hostname], &pair)
		}
	}
	return all, nil
}

var errNoCertificate = errors.New("no listener takes the server name")

// choose takes the certificates of the most specific listener for the server name: exact, then the longest wildcard,
// then the listener without a hostname.
func (b byHostname) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	list := b[name]
	for rest := name; list == nil && rest != ""; {
		_, rest, _ = strings.Cut(rest, ".")
		list = b["*."+rest]
	}
	if list == nil {
		list = b[""]
	}
	for _, c := range list {
		if hello.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	if len(list) > 0 {
		return list[0], nil
	}
	return nil, errNoCertificate
}

package builtin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"crypto/rand"
	"encoding/hex"

	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/provider"
)

// Quickstart is two provider emulators on loopback, behind real TLS with a root of their own.
type Quickstart struct {
	Services  []Service
	providers []*provider.Provider
}

// StartQuickstart starts the emulators with keys drawn at random.
func StartQuickstart() (*Quickstart, error) {
	root, err := ca.New("Ebbgate quickstart")
	if err != nil {
		return nil, fmt.Errorf("start quickstart: %w", err)
	}
	q := &Quickstart{}
	for _, s := range known() {
		kind, ok := map[string]provider.Kind{"openai": provider.OpenAI, "anthropic": provider.Anthropic}[s.Name]
		if !ok {
			continue
		}
		if err := q.start(root, s, kind); err != nil {
			return nil, errors.Join(fmt.Errorf("start quickstart: %s: %w", s.Name, err), q.Close())
		}
	}
	return q, nil
}

func (q *Quickstart) start(root *ca.CA, s Service, kind provider.Kind) error {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	s.Hostname, s.Key = s.Name+".quickstart.test", "sk-quickstart-"+hex.EncodeToString(key[:])
	certificate, err := root.Issue(ca.Leaf{DNSNames: []string{s.Hostname}, NotAfter: time.Now().AddDate(1, 0, 0)})
	if err != nil {
		return err
	}
	p, err := provider.New(provider.Config{Kind: kind, Key: s.Key, Certificate: certificate, Pace: 30 * time.Millisecond})
	if err != nil {
		return err
	}
	q.providers = append(q.providers, p)
	host, port, err := net.SplitHostPort(p.Addr())
	if err != nil {
		return err
	}
	s.Pinned, s.Root = host, string(root.PEM())
	if s.Port, err = strconv.Atoi(port); err != nil {
		return err
	}
	q.Services = append(q.Services, s)
	return nil
}

// Close ends the emulators.
func (q *Quickstart) Close() error {
	var errs []error
	for _, p := range q.providers {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// quote writes a string as YAML does between double quotes, which is JSON's way.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""` // strings always marshal
	}
	return string(b)
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ")
}

// Package hop reads and writes what gateways in a chain tell each other of a request: Ebbgate-Hop, and in Via the names of
// those that it has passed. It believes nobody: identify decides whose Ebbgate-Hop counts, proxy refuses loops and says
// what the next gateway is told.
//
// Ebbgate-Hop is a dictionary of structured fields (RFC 9651):
//
//	Ebbgate-Hop: name="edge-1", depth=1, attempt=1, retries=2, client=("edge" "payments" "invoice"), regions=("eu-* uk-1" "eu-west-*")
//
// An item of regions is one list of patterns, with spaces between them; data may go where one pattern of each list matches.
package hop

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dunglas/httpsfv"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// Name is the field's.
const Name = "Ebbgate-Hop"

// The bounds of a field. What exceeds them is neither read nor written.
const (
	maxField    = 8 << 10 // bytes
	maxName     = 253     // bytes of a name or of a pattern
	maxNumber   = 999     // of depth, attempt and retries
	maxLists    = 16      // of regions
	maxPatterns = 64      // in one list
)

// Message is one gateway's word about a request.
type Message struct {
	exchange.Hop

	Cluster, Namespace, ServiceAccount string // the client's; empty, or exchange.Unknown, where it has none
}

var (
	errTwice     = errors.New("there is more than one")
	errTooLarge  = errors.New("it exceeds its bounds")
	errMalformed = errors.New("a member is missing, or not of its form")
)

// Read reads the field. present is false where there is none. The message's strings are its own.
func Read(header *exchange.Header) (m Message, present bool, err error) {
	value := ""
	for _, f := range header.Fields() {
		if !exchange.EqualFold(f.Name, Name) {
			continue
		}
		if present {
			return Message{}, true, fmt.Errorf("%s: %w", Name, errTwice)
		}
		value, present = f.Value, true
	}
	if !present {
		return Message{}, false, nil
	}
	if m, err = parse(value); err != nil {
		return Message{}, true, fmt.Errorf("%s: %w", Name, err)
	}
	return m, true, nil
}

func parse(value string) (m Message, err error) {
	if len(value) > maxField {
		return m, errTooLarge
	}
	d, err := httpsfv.UnmarshalDictionary([]string{value})
	if err != nil {
		return m, fmt.Errorf("no dictionary: %w", err)
	}
	name, named := text(member(d, "name"), "")
	depth, counted := number(member(d, "depth"))
	attempt, tried := number(member(d, "attempt"))
	retries, left := number(member(d, "retries"))
	if !named || !counted || !tried || !left || name == "" || depth == 0 || attempt == 0 {
		return m, errMalformed
	}
	said := Message{Hop: exchange.Hop{Name: name, Depth: depth, Attempt: attempt, Retries: retries}}
	if err := said.client(member(d, "client")); err != nil {
		return m, err
	}
	if regions, ok := d.Get("regions"); ok {
		if said.Regions, err = lists(regions); err != nil {
			return m, err
		}
	}
	return said, nil
}

func member(d *httpsfv.Dictionary, key string) httpsfv.Member {
	m, _ := d.Get(key)
	return m
}

func text(m httpsfv.Member, more string) (string, bool) {
	item, _ := m.(httpsfv.Item)
	s, ok := item.Value.(string)
	return s, ok && spelled(s, more)
}

func number(m httpsfv.Member) (int, bool) {
	item, _ := m.(httpsfv.Item)
	n, ok := item.Value.(int64)
	return int(n), ok && 0 <= n && n <= maxNumber
}

// client reads cluster, namespace and service account. A cluster behind a cluster has a slash between them.
func (m *Message) client(of httpsfv.Member) error {
	inner, _ := of.(httpsfv.InnerList)
	if len(inner.Items) != 3 {
		return errMalformed
	}
	for i, to := range [...]*string{&m.Cluster, &m.Namespace, &m.ServiceAccount} {
		more := ""
		if to == &m.Cluster {
			more = "/"
		}
		var ok bool
		if *to, ok = text(inner.Items[i], more); !ok {
			return errMalformed
		}
	}
	return nil
}

// lists are those of regions. An item without a pattern is a list that nothing matches, and stays one.
func lists(m httpsfv.Member) ([][]string, error) {
	inner, ok := m.(httpsfv.InnerList)
	if !ok {
		return nil, errMalformed
	}
	if len(inner.Items) > maxLists {
		return nil, errTooLarge
	}
	regions := make([][]string, len(inner.Items))
	for i, item := range inner.Items {
		s, ok := item.Value.(string)
		if !ok {
			return nil, errMalformed
		}
		regions[i] = strings.Fields(s)
		if err := checkPatterns(regions[i]); err != nil {
			return nil, err
		}
	}
	return regions, nil
}

func checkPatterns(patterns []string) error {
	if len(patterns) > maxPatterns {
		return errTooLarge
	}
	for _, p := range patterns {
		if p == "" || !spelled(p, "*?/:") {
			return errMalformed
		}
	}
	return nil
}

// spelled reports whether a text has the letters of names alone, none of which a structured field would have to escape.
func spelled(s, more string) bool {
	if len(s) > maxName {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', strings.IndexByte(more, c) >= 0:
		default:
			return false
		}
	}
	return true
}

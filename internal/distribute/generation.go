package distribute

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ebbgate/ebbgate/internal/plan"
)

const (
	// generationName is the name of the resource that ends a generation.
	generationName = "generation"
	generationType = typeURL + "Generation"

	maxMessage  = 8 << 20        // bytes of one message to a proxy
	maxRequest  = 4 * maxMessage // of one from a proxy, which in the first names all that it has
	maxResource = 4 << 20        // bytes of one resource's payload
	fullMessage = 1 << 20        // bytes from which a message takes no further resource
)

// manifest is the content of the resource that ends a generation: how many resources the generation comprises, and a
// digest by which the proxy knows that it has these and no others.
type manifest struct {
	Resources int    `json:"resources"`
	Digest    string `json:"digest"`
}

// digest is of names, sorted, and versions. A Secret counts by its name: its version is each proxy's own.
func digest(list []*item) string {
	h := sha256.New()
	for _, i := range list {
		_, _ = io.WriteString(h, i.name+"\x00"+i.version+"\n") // a hash fails at nothing
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// item is a resource as it is sent.
type item struct {
	name     string
	kind     kind
	resource any // *plan.Gateway, *plan.Rule …
	payload  plan.Sensitive
	version  string // empty for a Secret
}

// generation is what one Gateway's proxies are to have.
type generation struct {
	number uint64
	items  []*item // sorted by name
	digest string

	named sync.Once
	has   *vocabulary
}

// encoder makes items, and keeps those whose resource stays.
type encoder struct {
	items  map[string]*item
	next   map[string]*item
	unsent []error // resources, new in this plan, in whose place a stub is sent
}

// begin starts a plan; end forgets the items that it did not use.
func (e *encoder) begin() { e.next, e.unsent = map[string]*item{}, nil }
func (e *encoder) end()   { e.items, e.next = e.next, nil }

func (e *encoder) item(k kind, name string, resource any) (*item, error) {
	plain := name
	name = forms[k].prefix + name
	if i := e.next[name]; i != nil {
		return i, nil
	}
	last := e.items[name]
	if last != nil && last.resource == resource {
		e.next[name] = last
		return last, nil
	}
	payload, err := encode(resource)
	if size := len(payload.Reveal()); err == nil && size > maxResource {
		err = fmt.Errorf("it has %d bytes, %d at most can be sent", size, maxResource)
	}
	if err != nil {
		e.unsent = append(e.unsent, fmt.Errorf("encode %s: %w", name, err))
		if payload, err = stub(plain, resource); err != nil {
			return nil, fmt.Errorf("encode %s: %w", name, err)
		}
	}
	i := &item{name: name, kind: k, resource: resource, payload: payload}
	if k != secrets {
		i.version = version(payload)
	}
	e.next[name] = i
	return i, nil
}

// unsendable is the field by which a proxy rejects a stub. It is what the Gateway's status says of the resource.
const unsendable = "too large to be sent"

// stub is the payload in place of one that is too large: what says what the resource concerns, and a field that no proxy
// knows, so that every one rejects it by its name, as whatever it cannot read, and takes the rest.
func stub(name string, resource any) (plan.Sensitive, error) {
	content := any(struct {
		Name string `json:"name"`
	}{name})
	switch r := resource.(type) {
	case *plan.Rule:
		content = plan.Rule{Name: r.Name, Route: r.Route, Hostnames: r.Hostnames, Parents: r.Parents, Matches: r.Matches}
	case *plan.Policy:
		policy := *r
		policy.Config = nil
		content = policy
	}
	text, err := marshal(content)
	if err == nil && len(text) >= maxResource {
		err = errors.New("not even what says what it concerns can be sent")
	}
	if err != nil {
		return plan.Sensitive{}, err
	}
	return plan.NewSensitive(append(text[:len(text)-1], `,"`+unsendable+`":true}`...)), nil
}

// encodeAll gives the items of a part of a plan, sorted by name.
func (e *encoder) encodeAll(p *plan.Plan) ([]*item, error) {
	list := make([]*item, 0, len(p.Gateways)+len(p.Rules)+len(p.Backends)+len(p.Policies)+len(p.Secrets))
	var err error
	add := func(k kind, name string, resource any) {
		var i *item
		if err == nil {
			i, err = e.item(k, name, resource)
			list = append(list, i)
		}
	}
	for _, g := range p.Gateways {
		add(gateways, g.Name, g)
	}
	for _, r := range p.Rules {
		add(rules, r.Name, r)
	}
	for _, b := range p.Backends {
		add(backends, b.Name, b)
	}
	for _, policy := range p.Policies {
		add(policies, policy.Name, policy)
	}
	for _, s := range p.Secrets {
		add(secrets, s.Name, s)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b *item) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// same reports whether two generations have the same content.
func (g *generation) same(items []*item) bool {
	return slices.EqualFunc(g.items, items, func(a, b *item) bool {
		return a.name == b.name && a.version == b.version && (a == b || a.payload.Equal(b.payload))
	})
}

// messages give what a proxy lacks that has the resources of have, by name, in the given versions: yield is called for each
// message, the last of which ends the generation, and have is brought up to date.
func (g *generation) messages(have map[string]string, versionOf func(*item) string, yield func(*discoveryv3.DeltaDiscoveryResponse) error) error {
	message := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL}
	size := 0
	flush := func(more int) error {
		if size += more; size < fullMessage {
			return nil
		}
		full := message
		message, size = &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL}, 0
		return yield(full)
	}
	kept := make(map[string]bool, len(g.items))
	for _, i := range g.items {
		kept[i.name] = true
		v := versionOf(i)
		if had, ok := have[i.name]; ok && had == v {
			continue
		}
		have[i.name] = v
		payload := i.payload.Reveal()
		message.Resources = append(message.Resources, &discoveryv3.Resource{
			Name: i.name, Version: v, Resource: &anypb.Any{TypeUrl: forms[i.kind].typeURL, Value: payload},
		})
		if err := flush(len(i.name) + len(payload)); err != nil {
			return err
		}
	}
	for name := range have {
		if kept[name] {
			continue
		}
		delete(have, name)
		message.RemovedResources = append(message.RemovedResources, name)
		if err := flush(len(name)); err != nil {
			return err
		}
	}
	end, err := json.Marshal(manifest{Resources: len(g.items), Digest: g.digest})
	if err != nil {
		return err
	}
	message.Resources = append(message.Resources, &discoveryv3.Resource{
		Name: generationName, Version: g.digest, Resource: &anypb.Any{TypeUrl: generationType, Value: end},
	})
	return yield(message)
}

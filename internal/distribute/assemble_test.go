package distribute

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit"
)

// messagesOf are those of a generation of a plan's part, for a proxy that has nothing, one resource each.
func messagesOf(t testing.TB, p *plan.Plan, gateway string) []*discoveryv3.DeltaDiscoveryResponse {
	t.Helper()
	e := encoder{}
	e.begin()
	items, err := e.encodeAll(Part(p, gateway))
	if err != nil {
		t.Fatal(err)
	}
	g := &generation{number: 1, items: items, digest: digest(items)}
	var list []*discoveryv3.DeltaDiscoveryResponse
	err = g.messages(map[string]string{}, func(i *item) string { return i.version + "v" }, func(m *discoveryv3.DeltaDiscoveryResponse) error {
		for i, r := range m.GetResources() {
			list = append(list, &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL, Nonce: fmt.Sprint(i), Resources: []*discoveryv3.Resource{r}})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list { // versions as they are sent
		for _, r := range m.GetResources() {
			r.Version = strings.TrimSuffix(r.GetVersion(), "v")
		}
	}
	return list
}

// feed is a generation of single payloads, as if a controller had sent it; nil removes.
func feed(t *testing.T, h *holding, version string, payloads map[string]any) (*plan.Plan, []Rejection) {
	t.Helper()
	m := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL}
	for name, payload := range payloads {
		if payload == nil {
			m.RemovedResources = append(m.RemovedResources, name)
			continue
		}
		text, ok := payload.(string)
		if !ok {
			out, err := encode(payload)
			if err != nil {
				t.Fatal(err)
			}
			text = string(out.Reveal())
		}
		k, _, _ := kindOf(name)
		m.Resources = append(m.Resources, &discoveryv3.Resource{Name: name, Version: version, Resource: &anypb.Any{TypeUrl: forms[k].typeURL, Value: []byte(text)}})
	}
	if end, err := h.add(m); err != nil || end != nil {
		t.Fatalf("%v, %v", end, err)
	}
	p, rejections, err := h.finish(comprised(h))
	if err != nil {
		t.Fatal(err)
	}
	return p, rejections
}

var (
	gw   = &plan.Gateway{Name: "a/gw", Class: "c", Listeners: []*plan.Listener{{Name: "l"}}}
	rule = &plan.Rule{
		Name: "HTTPRoute/a/r#0", Route: "HTTPRoute/a/r", Parents: []plan.Parent{{Gateway: "a/gw", Listener: "l"}},
		Matches: []plan.Match{{Path: plan.ValueMatch{Type: plan.PathPrefix, Value: "/"}}}, Backends: []plan.RuleBackend{{Backend: "Service/a/s:80"}},
	}
	backend = &plan.Backend{Name: "Service/a/s:80"}
)

const (
	gatewayName = "gateway/a/gw"
	ruleName    = "rule/HTTPRoute/a/r#0"
	backendName = "backend/Service/a/s:80"
	policyName  = "policy/K/a/p"
	secretName  = "secret/Secret/a/s"
)

// whole is a first generation with one more resource.
func whole(name string, payload any) map[string]any {
	return map[string]any{gatewayName: gw, ruleName: rule, backendName: backend, name: payload}
}

func TestRejectedWithoutAGoodOne(t *testing.T) {
	policyOn := func(kind plan.TargetKind, name string) string {
		return fmt.Sprintf(`{"name": "K/a/p", "kind": "K", "targets": [{"kind": %q, "name": %q}], "config": {}}`, kind, name)
	}
	f := func(what, name, payload string, taken, ruleClosed, backendClosed bool) {
		t.Helper()
		h := newHolding(configs)
		p, rejections := feed(t, h, "1", whole(name, payload))
		if len(rejections) != 1 || rejections[0].Resource != name || (p != nil) != taken {
			t.Errorf("%s: taken is %t, rejected %+v", what, p != nil, rejections)
			return
		}
		if p == nil {
			if len(h.held) > 0 {
				t.Errorf("%s: a generation that is not taken is held", what)
			}
			return
		}
		if got := len(p.Rules) == 1 && p.Rules[0].Fault != nil; got != ruleClosed {
			t.Errorf("%s: the rule is closed: %t", what, got)
		}
		if got := len(p.Backends) == 0 || p.Backends[0].Fault != nil; got != backendClosed {
			t.Errorf("%s: the backend is closed or absent: %t", what, got)
		}
	}
	f("a rule of a newer controller", ruleName, `{"name": "HTTPRoute/a/r#0", "route": "HTTPRoute/a/r", "parents": [{"gateway": "a/gw", "listener": "l"}], "matches": [{}], "new": 1}`, true, true, false)
	f("a rule of which nothing can be read", ruleName, `{"name": `, false, false, false)
	f("a rule without what it matches", ruleName, `{"name": "HTTPRoute/a/r#0", "new": 1}`, false, false, false)
	f("a rule of another name", ruleName, `{"name": "HTTPRoute/a/other#0", "matches": [{}]}`, false, false, false)
	f("two values", ruleName, `{}{}`, false, false, false)
	f("a Gateway", gatewayName, `{"name": "a/gw", "new": 1}`, false, false, false)
	f("a Gateway with a null listener", gatewayName, `{"name": "a/gw", "listeners": [null]}`, false, false, false)
	f("a backend", backendName, `[]`, true, false, true)
	f("a Secret", secretName, `{"name": "Secret/a/s", "data": {"key": "`+secretText+`"}}`, true, false, false)
	f("a policy of which nothing can be read", policyName, `{"name": 1}`, false, false, false)
	f("a policy that targets nothing", policyName, `{"name": "K/a/p", "kind": "K", "targets": []}`, false, false, false)
	f("a policy of an unknown kind on the class", policyName, policyOn(plan.TargetClass, "c"), true, true, false)
	f("on the Gateway", policyName, policyOn(plan.TargetGateway, "a/gw"), true, true, false)
	f("on a listener", policyName, policyOn(plan.TargetListener, "a/gw#l"), true, true, false)
	f("on the route", policyName, policyOn(plan.TargetRoute, "HTTPRoute/a/r"), true, true, false)
	f("on the rule", policyName, policyOn(plan.TargetRule, "HTTPRoute/a/r#0"), true, true, false)
	f("on the Service", policyName, policyOn(plan.TargetBackend, "Service/a/s"), true, false, true)
	f("on the port", policyName, policyOn(plan.TargetPort, "Service/a/s:80"), true, false, true)
	f("on another route", policyName, policyOn(plan.TargetRoute, "HTTPRoute/a/r2"), true, false, false)
	f("on what we do not know", policyName, policyOn("Galaxy", "milky"), true, true, false)
	f("a known kind on what we do not know", "policy/EgressPolicy/a/p", `{"name": "EgressPolicy/a/p", "kind": "EgressPolicy", "targets": [{"kind": "Galaxy", "name": "milky"}], "config": {}}`, true, true, false)
	f("a resource of an unknown kind", "galaxy/a/b", `{}`, false, false, false)
}

func TestRejectedWithAGoodOne(t *testing.T) {
	for name, resource := range map[string]any{gatewayName: gw, ruleName: rule, backendName: backend, secretName: secretOf("Secret/a/s", secretText)} {
		h := newHolding(configs)
		before, _ := feed(t, h, "1", whole(name, resource))
		after, rejections := feed(t, h, "2", map[string]any{name: `{"` + secretText + `": 1}`})
		if after == nil || len(rejections) != 1 || rejections[0].Resource != name {
			t.Errorf("%s: %v, %+v", name, after, rejections)
			continue
		}
		if !slices.Equal(before.Gateways, after.Gateways) || !slices.Equal(before.Rules, after.Rules) || !slices.Equal(before.Backends, after.Backends) || !slices.Equal(before.Secrets, after.Secrets) {
			t.Errorf("%s: the last good one is not used", name)
		}
		if isSecret(name) && strings.Contains(rejections[0].Message, secretText) {
			t.Errorf("the rejection of a Secret quotes it: %s", rejections[0].Message)
		}
		if v := h.versions()[name]; v != "" {
			t.Errorf("%s: it will not come again: its version is %q", name, v)
		}
		if _, rejections = feed(t, h, "3", map[string]any{name: `{"broken": 2}`}); len(rejections) != 1 {
			t.Errorf("%s: %+v", name, rejections)
		}
		if last, rejections := feed(t, h, "4", map[string]any{name: resource}); last == nil || len(rejections) > 0 {
			t.Errorf("%s: mended, it is still rejected: %+v", name, rejections)
		}
	}
}

// TestWhatCameWithAGenerationThatWasNotTakenWaits: the server does not send it again.
func TestWhatCameWithAGenerationThatWasNotTakenWaits(t *testing.T) {
	h := newHolding(configs)
	if p, _ := feed(t, h, "1", whole(policyName, `{"name": 1}`)); p != nil {
		t.Fatal("taken")
	}
	p, rejections := feed(t, h, "2", map[string]any{policyName: `{"name": 1}`, ruleName: `{"new": 1}`, backendName: nil})
	if p != nil || len(rejections) != 2 {
		t.Errorf("%v, %+v", p, rejections)
	}
	// The rule's good content is the one that waited; the backend that was removed in between has none.
	p, rejections = feed(t, h, "3", map[string]any{policyName: nil, backendName: `[]`})
	if p == nil || len(rejections) != 2 || len(p.Rules) != 1 || p.Rules[0].Fault != nil || len(p.Backends) != 0 {
		t.Errorf("%v, %+v", p, rejections)
	}
	p, rejections = feed(t, h, "4", map[string]any{ruleName: rule, backendName: backend})
	if p == nil || len(rejections) > 0 || len(p.Rules) != 1 || len(p.Gateways) != 1 || len(p.Policies) != 0 {
		t.Errorf("%v, %+v", p, rejections)
	}
}

func TestNoWholeGeneration(t *testing.T) {
	messages := messagesOf(t, configured(3), "a/gw")
	end := len(messages) - 1
	for lost := range end {
		h := newHolding(configs)
		for i, m := range messages {
			if i == lost {
				continue
			}
			read, err := h.add(m)
			if err != nil || (read != nil) != (i == end) {
				t.Fatalf("message %d: %v, %v", i, read, err)
			}
			if read != nil {
				if p, _, err := h.finish(read); err == nil || p != nil || len(h.held) > 0 {
					t.Errorf("a generation without its message %d was taken", lost)
				}
			}
		}
	}
	h := newHolding(configs) // all are here, one in another version
	for i, m := range messages {
		if i == 0 {
			m = proto.CloneOf(m)
			m.GetResources()[0].Version = "other"
		}
		read, err := h.add(m)
		if err != nil {
			t.Fatal(err)
		}
		if read != nil {
			if p, _, err := h.finish(read); err == nil || p != nil {
				t.Error("a generation with a resource of another version was taken")
			}
		}
	}
	for what, m := range map[string]*discoveryv3.DeltaDiscoveryResponse{
		"another type":       {TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster"},
		"a type in disguise": {TypeUrl: typeURL, Resources: []*discoveryv3.Resource{{Name: ruleName, Resource: &anypb.Any{TypeUrl: forms[secrets].typeURL}}}},
		"behind the end":     {TypeUrl: typeURL, Resources: []*discoveryv3.Resource{messages[end].GetResources()[0], messages[0].GetResources()[0]}},
		"an unreadable end":  {TypeUrl: typeURL, Resources: []*discoveryv3.Resource{{Name: generationName, Resource: &anypb.Any{TypeUrl: generationType, Value: []byte("{")}}}},
		"a wild removal":     {TypeUrl: typeURL, RemovedResources: []string{"x"}},
	} {
		if _, err := newHolding(configs).add(m); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

// halting is a server that breaks off its first generation in the middle.
type halting struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	messages []*discoveryv3.DeltaDiscoveryResponse
	had      chan map[string]string // initial versions, by connection
	answers  chan *discoveryv3.DeltaDiscoveryRequest
	broken   bool
}

func (s *halting) DeltaAggregatedResources(d discovery) error {
	first, err := d.Recv()
	if err != nil {
		return err
	}
	if first.GetTypeUrl() == workloadsURL {
		<-d.Context().Done()
		return nil
	}
	s.had <- first.GetInitialResourceVersions()
	list := s.messages
	if !s.broken {
		s.broken = true
		ghost := &discoveryv3.Resource{Name: "backend/Backend/a/ghost", Version: "1", Resource: &anypb.Any{TypeUrl: forms[backends].typeURL, Value: []byte(`{"name": "Backend/a/ghost"}`)}}
		list = []*discoveryv3.DeltaDiscoveryResponse{list[0], {TypeUrl: typeURL, Resources: []*discoveryv3.Resource{ghost}}}
	}
	for _, m := range list {
		if err := d.Send(m); err != nil {
			return err
		}
	}
	if len(list) < len(s.messages) {
		return status.Error(codes.Unavailable, "the controller ends")
	}
	answer, err := d.Recv()
	if err != nil {
		return err
	}
	s.answers <- answer
	<-d.Context().Done()
	return nil
}

func TestAGenerationThatBreaksOffIsNotTaken(t *testing.T) {
	r := newRig(t)
	r.stop()
	p := configured(5)
	s := &halting{messages: messagesOf(t, p, "a/gw"), had: make(chan map[string]string, 2), answers: make(chan *discoveryv3.DeltaDiscoveryRequest, 1)}
	g := grpc.NewServer(grpc.WaitForHandlers(true), grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{testkit.Loopback(t, r.authority)}, MinVersion: tls.VersionTLS13,
	})))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, s)
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	client := r.proxy("token-of-a/gw", nil)
	same(t, Part(p, "a/gw"), client.next())
	for range 2 {
		if had := <-s.had; len(had) > 0 {
			t.Errorf("after a generation that broke off the proxy says it has %v", had)
		}
	}
	answer := <-s.answers
	if answer.GetErrorDetail() != nil || answer.GetResponseNonce() != s.messages[len(s.messages)-1].GetNonce() {
		t.Errorf("answer %v", answer)
	}
	client.none()
}

// FuzzResource gives a proxy that has a generation any resource, or removal, as its next: it must not fall over, and what
// it cannot read leaves nothing open.
func FuzzResource(f *testing.F) {
	base := messagesOf(f, configured(2), "a/gw")
	for _, m := range base[:len(base)-1] {
		r := m.GetResources()[0]
		f.Add(r.GetName(), r.GetResource().GetTypeUrl(), r.GetResource().GetValue(), "")
	}
	f.Add(policyName, forms[policies].typeURL, []byte(`{"name": "K/a/p", "kind": "K", "targets": [{"kind": "Gateway", "name": "a/gw"}], "config": {}}`), ruleName)
	f.Add("galaxy/a/b", typeURL+"Galaxy", []byte(`{}`), "")
	f.Fuzz(func(t *testing.T, name, kind string, payload []byte, removed string) {
		h := newHolding(configs)
		for _, m := range base[:len(base)-1] {
			if _, err := h.add(m); err != nil {
				t.Fatal(err)
			}
		}
		if p, rejections, err := h.finish(comprised(h)); err != nil || p == nil || len(rejections) > 0 {
			t.Fatal(p, rejections, err)
		}
		m := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL, Resources: []*discoveryv3.Resource{
			{Name: name, Version: "fuzz", Resource: &anypb.Any{TypeUrl: kind, Value: payload}},
		}}
		if removed != "" {
			m.RemovedResources = []string{removed}
		}
		end, err := h.add(m)
		if err != nil || end != nil {
			return
		}
		p, rejections, err := h.finish(comprised(h))
		if err != nil {
			t.Fatal(err)
		}
		if p == nil && len(rejections) == 0 {
			t.Fatal("not taken, and nothing rejected")
		}
		if len(rejections) > 0 && len(readRejections(writeRejections(rejections))) == 0 {
			t.Fatal("rejections get lost")
		}
		if p == nil {
			return
		}
		if k, planName, ok := kindOf(name); ok && name != removed && (k == rules || k == policies || k == gateways) && !slices.Contains(namesOf(p), name) {
			t.Fatalf("nothing stands for %s", planName)
		}
		if got, most := len(namesOf(p)), len(h.held); got > most {
			t.Fatalf("the plan has %d resources, %d are held", got, most)
		}
	})
}

// comprised is the manifest of all that is held and drafted.
func comprised(h *holding) *manifest {
	versions := map[string]string{}
	for name, e := range h.held {
		versions[name] = e.version
	}
	for name, e := range h.draft {
		if delete(versions, name); e != nil {
			versions[name] = e.version
		}
	}
	var items []*item
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		i := &item{name: name, version: versions[name]}
		if isSecret(name) {
			i.version = ""
		}
		items = append(items, i)
	}
	return &manifest{Resources: len(items), Digest: digest(items)}
}

// FuzzRejections gives the server any answer of a proxy.
func FuzzRejections(f *testing.F) {
	f.Add([]byte(`[{"resource": "rule/HTTPRoute/a/r#0", "message": "no"}]`), "message")
	f.Add([]byte(`null`), strings.Repeat("x", 2*maxWords))
	f.Fuzz(func(t *testing.T, details []byte, message string) {
		detail := writeRejections(nil)
		detail.Message, detail.Details[0].Value = message, details
		list := readRejections(detail)
		if len(list) == 0 || len(list) > maxRejections {
			t.Fatalf("%d rejections", len(list))
		}
		for _, r := range list {
			if len(r.Message) > maxWords || len(r.Resource) > maxWords {
				t.Fatalf("a rejection of %d bytes", len(r.Resource)+len(r.Message))
			}
		}
	})
}

package gateway

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/problem"
)

func parametersOf(t *testing.T, namespace, name, spec string) *v1alpha1.GatewayParameters {
	t.Helper()
	p := &v1alpha1.GatewayParameters{}
	p.Namespace, p.Name = namespace, name
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	return p
}

// whole are limited parameters in the form in which a user writes them.
func whole(l *limited) v1alpha1.GatewayParametersSpec {
	spec := l.spec
	spec.Identity, spec.TrustedPeers = nil, l.peers
	for _, source := range l.identity {
		spec.Identity = append(spec.Identity, source.IdentitySource)
	}
	return spec
}

func fields(list []problem.Problem) string {
	var names []string
	for _, p := range list {
		names = append(names, p.Field)
	}
	return strings.Join(names, " ")
}

func TestCeilings(t *testing.T) {
	f := func(class, own, want string, excess ...string) {
		t.Helper()
		c, o := parametersOf(t, "ebbgate-system", "ceiling", class), parametersOf(t, "ai", "own", own)
		before := []*v1alpha1.GatewayParameters{c.DeepCopy(), o.DeepCopy()}
		l := limit(c, o)
		got, err := yaml.Marshal(whole(l))
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := yaml.Marshal(parametersOf(t, "ai", "own", want).Spec)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(wanted), string(got)); diff != "" {
			t.Errorf("%s\nunder %s\n%s", own, class, diff)
		}
		if fields(l.excess) != strings.Join(excess, " ") {
			t.Errorf("%s\nunder %s: beyond it: %s", own, class, fields(l.excess))
		}
		if !reflect.DeepEqual(before, []*v1alpha1.GatewayParameters{c, o}) {
			t.Errorf("%s\nunder %s: was changed", own, class)
		}
		if len(o.Spec.Identity) > 0 && len(l.identity) == 0 || len(o.Spec.TrustedPeers) > 0 && len(l.peers) == 0 {
			return // written so, the class's would come in its place
		}
		again := limit(c, parametersOf(t, "ai", "own", string(got)))
		if text, _ := yaml.Marshal(whole(again)); len(again.excess) > 0 || string(text) != string(got) {
			t.Errorf("%s\nunder %s: what was cut back is beyond it still: %s\n%s", own, class, fields(again.excess), text)
		}
	}
	// Nothing written, nothing limited.
	f(`{}`, `deployment: {replicas: 50}`, `deployment: {replicas: 50}`)
	f(`hopName: all`, `{}`, `{}`)
	f(`hopName: all`, `hopName: one`, `hopName: one`)

	// How many run.
	f(`deployment: {replicas: 3}`, `{}`, `deployment: {replicas: 3}`)
	f(`deployment: {replicas: 3}`, `deployment: {}`, `deployment: {replicas: 3}`)
	f(`deployment: {replicas: 3}`, `deployment: {replicas: 2}`, `deployment: {replicas: 2}`)
	f(`deployment: {replicas: 3}`, `deployment: {replicas: 4}`, `deployment: {replicas: 3}`, "spec.deployment.replicas")
	f(`deployment: {replicas: 3}`, `deployment: {autoscaling: {min: 4, max: 9, cpu: 50}}`,
		`deployment: {autoscaling: {min: 3, max: 3, cpu: 50}}`, "spec.deployment.autoscaling.max")
	f(`deployment: {autoscaling: {min: 2, max: 5, cpu: 70}}`, `deployment: {replicas: 5}`, `deployment: {replicas: 5}`)
	f(`deployment: {autoscaling: {min: 2, max: 5, cpu: 70}}`, `deployment: {priorityClass: low}`, `deployment: {autoscaling: {min: 2, max: 5, cpu: 70}, priorityClass: low}`)

	// What each may use.
	f(`deployment: {resources: {limits: {cpu: "2"}}}`, `deployment: {resources: {limits: {memory: 1Gi}}}`, `deployment: {resources: {limits: {cpu: "2", memory: 1Gi}}}`)
	f(`deployment: {resources: {limits: {cpu: "2"}}}`, `deployment: {resources: {limits: {cpu: 2500m}}}`,
		`deployment: {resources: {limits: {cpu: "2"}}}`, "spec.deployment.resources.limits.cpu")
	f(`deployment: {resources: {requests: {memory: 1Gi}}}`, `deployment: {resources: {requests: {memory: 2Gi, cpu: "1"}}}`,
		`deployment: {resources: {requests: {memory: 1Gi, cpu: "1"}}}`, "spec.deployment.resources.requests.memory")
	f(`deployment: {resources: {requests: {memory: 1Gi}}}`, `deployment: {resources: {limits: {memory: 512Mi}}}`,
		`deployment: {resources: {requests: {memory: 512Mi}, limits: {memory: 512Mi}}}`)

	// Where.
	f(`deployment: {nodeSelector: {pool: egress}}`, `deployment: {nodeSelector: {zone: a}}`, `deployment: {nodeSelector: {pool: egress, zone: a}}`)
	f(`deployment: {nodeSelector: {pool: egress}}`, `deployment: {nodeSelector: {pool: gpu}}`, `deployment: {nodeSelector: {pool: egress}}`, "spec.deployment.nodeSelector")
	f(`deployment: {tolerations: [{key: egress}]}`, `deployment: {replicas: 1}`, `deployment: {replicas: 1, tolerations: [{key: egress}]}`)
	f(`deployment: {tolerations: [{key: egress}]}`, `deployment: {tolerations: [{operator: Exists}, {key: egress}]}`,
		`deployment: {tolerations: [{key: egress}]}`, "spec.deployment.tolerations[0]")
	f(`deployment: {priorityClass: low}`, `deployment: {priorityClass: high}`, `deployment: {priorityClass: low}`, "spec.deployment.priorityClass")
	f(`deployment: {priorityClass: low, topologySpread: [{topologyKey: zone}], affinity: {nodeAffinity: {}}}`, `deployment: {replicas: 1, topologySpread: [{topologyKey: rack}]}`,
		`deployment: {replicas: 1, priorityClass: low, topologySpread: [{topologyKey: rack}], affinity: {nodeAffinity: {}}}`)
	f(`service: {type: ClusterIP}`, `service: {type: LoadBalancer}`, `service: {type: ClusterIP}`, "spec.service.type")
	f(`service: {type: LoadBalancer}`, `service: {type: ClusterIP}`, `service: {type: ClusterIP}`)
	f(`service: {type: LoadBalancer}`, `{}`, `service: {type: LoadBalancer}`)

	// Who clients are.
	const wide = `identity: [{type: Static, entries: [{cidr: 10.0.0.0/8, namespace: a, serviceAccount: a}, {cidr: 10.1.0.0/16, namespace: b, serviceAccount: b}]}]`
	f(wide, `{}`, wide)
	f(wide, `identity: [{type: Static, entries: [{cidr: 10.2.0.0/16, namespace: a, serviceAccount: a}]}]`,
		`identity: [{type: Static, entries: [{cidr: 10.2.0.0/16, namespace: a, serviceAccount: a}]}]`)
	f(wide, `identity: [{type: Static, entries: [{cidr: 10.1.2.0/24, namespace: a, serviceAccount: a}, {cidr: 10.1.0.0/16, namespace: b, serviceAccount: b}]}]`,
		`identity: [{type: Static, entries: [{cidr: 10.1.0.0/16, namespace: b, serviceAccount: b}]}]`, "spec.identity[0].entries[0]")
	f(wide, `identity: [{type: Static, entries: [{cidr: 0.0.0.0/0, namespace: a, serviceAccount: a}]}, {type: SPIFFE, trustDomain: x, bundleRef: {name: x}}]`,
		`{}`, "spec.identity[0].entries[0]", "spec.identity[1]")
	const mesh = `identity: [{type: SPIFFE, trustDomain: mesh, bundleRef: {name: of-the-class}}]`
	f(mesh, `identity: [{type: SPIFFE, trustDomain: mesh, bundleRef: {name: my-own}}]`, mesh)
	f(mesh, `identity: [{type: Static, entries: [{cidr: 10.2.0.0/16, namespace: a, serviceAccount: a}]}]`, `{}`, "spec.identity[0].entries[0]")

	// And whom they may speak for.
	const peer = mesh + "\n" + `trustedPeers: [{spiffe: "spiffe://mesh/edge", cluster: edge, namespaces: [a, b]}]`
	f(peer, `{}`, peer)
	f(peer, `trustedPeers: [{spiffe: "spiffe://mesh/edge", cluster: edge, namespaces: [b]}]`,
		mesh+"\n"+`trustedPeers: [{spiffe: "spiffe://mesh/edge", cluster: edge, namespaces: [b]}]`)
	f(peer, `trustedPeers: [{spiffe: "spiffe://mesh/edge", cluster: other, namespaces: ["*"]}, {spiffe: "spiffe://mesh/else", namespaces: [a]}]`, peer,
		"spec.trustedPeers[0].cluster", "spec.trustedPeers[0].namespaces[0]", "spec.trustedPeers[1].spiffe")
	f(peer, `trustedPeers: [{spiffe: "spiffe://mesh/edge", cluster: edge, namespaces: [c]}]`, mesh, "spec.trustedPeers[0].namespaces[0]")
}

// A range keeps the narrower ones that the class has inside of it, or it would name their clients.
func TestARangeKeepsTheClassesNarrowerOnes(t *testing.T) {
	class := parametersOf(t, "ebbgate-system", "ceiling",
		`identity: [{type: Static, entries: [{cidr: 10.0.0.0/8, namespace: a, serviceAccount: a}, {cidr: 10.1.0.0/16, namespace: b, serviceAccount: b}]}]`)
	own := parametersOf(t, "ai", "own", `identity: [{type: Static, entries: [{cidr: 10.0.0.0/8, namespace: a, serviceAccount: a}]}]`)
	l := limit(class, own)
	if diff := cmp.Diff(class.Spec.Identity, whole(l).Identity); diff != "" || len(l.excess) > 0 {
		t.Errorf("%s%v", diff, l.excess)
	}
}

// Of a class alone its own sources are meant, in its own namespace, and no name that several would have.
func TestAClassAlone(t *testing.T) {
	l := limit(parametersOf(t, "ebbgate-system", "ceiling", `{hopName: all, identity: [{type: SPIFFE, trustDomain: mesh, bundleRef: {name: b}}]}`), nil)
	if l.spec.HopName != "" || len(l.identity) != 1 || l.identity[0].of.Namespace != "ebbgate-system" {
		t.Errorf("%+v", l)
	}
}

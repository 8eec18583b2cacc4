// Package translate makes of what users wrote what proxies serve: resources → plan, statuses and problems. It is pure:
// it reads snapshots and does no I/O, so that validate, translate and run of the command show the same. It is
// incremental: a changed object costs what reads it and nothing else. It does not deliver the plan and writes no
// status. The packages below it hold the kinds: attach what they share, gateway, route and backend one each; policies
// are translated here, generically over their kinds. cmd and the controller call it.
package translate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// defaultNamespace is where the controller lives unless told otherwise.
const defaultNamespace = "ebbgate-system"

// Config says what is translated for.
type Config struct {
	Kinds               []*policy.Kind   // of policies; others are not read
	Kubernetes          bool             // false: standalone, Gateways bind this machine's addresses
	ClusterName         string           // of the cluster that the Gateways are in; may be empty
	ControllerNamespace string           // whose policies may target GatewayClasses; default ebbgate-system
	Local               bool             // every Gateway is built-in: requests that a web page could have made are refused
	Now                 func() time.Time // for lastTransitionTime; default time.Now
}

// Status is the status of one object.
type Status = attach.Status

// Result is what a snapshot comes to. It is immutable; what did not change keeps its pointers from result to result.
type Result struct {
	Plan     *plan.Plan
	Statuses []*Status         // by Object
	Problems []problem.Problem // by Object and Field
}

// Translator translates snapshot after snapshot. It is for one goroutine.
type Translator struct {
	now    func() time.Time
	inputs *inputs
	graph  *graph
}

// New returns a Translator that has seen nothing.
func New(config Config) *Translator {
	config.ControllerNamespace = cmp.Or(config.ControllerNamespace, defaultNamespace)
	if config.Now == nil {
		config.Now = time.Now
	}
	t := &Translator{now: config.Now}
	t.graph = newGraph(config, t.stamp)
	t.inputs = newInputs(t.graph.in, config.Kinds)
	return t
}

// Fleet is what runs of a Gateway on Kubernetes.
type Fleet = attach.Fleet

// Observe says what runs of the Gateways of a cluster, by plan.ObjectName, for the statuses of the next Apply. One of
// which nothing runs is not programmed. Standalone nobody calls it.
func (t *Translator) Observe(fleets map[string]*Fleet) { t.inputs.observe(fleets) }

// Know takes the Pods of a cluster that have come, changed or, where nil, gone, by plan.ObjectName, for the next Apply:
// what a Service may lead to. It reports whether the next Apply may come to something else therefore.
func (t *Translator) Know(pods map[string]*plan.Workload) bool { return t.inputs.know(pods) }

// Reach is a backend as a Gateway reaches it; Health is how its proxies see it there.
type (
	Reach  = attach.Reach
	Health = attach.Health
)

// Hear says how backends stand, for the statuses of the next Apply. While it is not sure that all proxies have told, a
// status of which nothing is told says what it said. Standalone nobody calls it.
func (t *Translator) Hear(all map[Reach]Health, sure bool) { t.inputs.Hears.Set(all, sure) }

// Trust says who signs the cluster's ServiceAccount tokens, for the next Apply.
func (t *Translator) Trust(issuer *plan.Issuer) { t.inputs.Issuers.Set("", issuer) }

// Apply translates a snapshot.
func (t *Translator) Apply(s *source.Snapshot) *Result {
	t.inputs.fill(s)
	t.graph.Commit()
	verdicts := t.graph.verdicts.List()
	result := &Result{
		Plan: &plan.Plan{
			Gateways: t.graph.gateways.List(),
			Rules:    t.graph.rules.List(),
			Backends: t.graph.backends.List(),
			Policies: t.graph.policies.List(),
			Secrets:  t.graph.secrets.List(),
		},
		Statuses: make([]*Status, 0, len(verdicts)),
	}
	for _, v := range verdicts {
		if v.Status != nil {
			result.Statuses = append(result.Statuses, v.Status)
		}
		result.Problems = append(result.Problems, v.Problems...)
	}
	for i := range result.Problems {
		if p := &result.Problems[i]; s.Locate != nil {
			p.File, p.Line = s.Locate(p.Object, p.Field)
		}
	}
	slices.SortStableFunc(result.Problems, func(a, b problem.Problem) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Field, b.Field), strings.Compare(a.Condition, b.Condition))
	})
	return result
}

// Parameters says how a Gateway, by plan.ObjectName, is to run by the latest Apply: as its own parameters say, under the
// ceiling of its class. It is nil where neither says anything.
func (t *Translator) Parameters(gateway string) *v1alpha1.GatewayParameters {
	if c, ok := t.graph.checked.Peek(gateway); ok {
		return c.Running
	}
	return nil
}

// Runs counts what the latest Apply translated, by collection.
func (t *Translator) Runs() map[string]int { return t.graph.Runs() }

// stamp puts the times of transition into a verdict: those that we gave last, or that the object carries.
func (t *Translator) stamp(key string, v *attach.Verdict, last **attach.Verdict) *attach.Verdict {
	if v.Status == nil {
		return v
	}
	former := make([]*attach.Status, 0, 2)
	if last != nil {
		former = append(former, (*last).Status)
	}
	if written := t.inputs.status(key); written != nil {
		former = append(former, written)
	}
	stamped := *v
	stamped.Status = v.Status.Stamp(metav1.NewTime(t.now().Truncate(time.Second)), former...)
	return &stamped
}

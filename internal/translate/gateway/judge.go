package gateway

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Degraded is the condition of a Gateway on which something is broken. It is absent where nothing is.
const Degraded = attach.Group + "/Degraded"

// Surroundings are what others make of a Gateway.
type Surroundings struct {
	Policies []string                  // that have it, or a listener of it, as target
	Broken   []string                  // objects that are broken on it
	Routes   func(listener string) int // attached to a listener
	Fleet    *attach.Fleet             // what runs of it; nil standalone
}

// Warned is the verdict on a Gateway of a foreign class.
func Warned(c *Checked) *attach.Verdict { return &attach.Verdict{Problems: c.Problems} }

// Judge is the verdict on a Gateway.
func Judge(key string, b *Bound, s Surroundings) *attach.Verdict {
	c := b.Checked
	status := &attach.Status{Object: key}
	problems := slices.Clone(c.Problems)
	var invalid []string
	programmed := 0
	for _, l := range c.Listeners {
		taken := b.Taken[l.Plan.Name]
		entry := judgeListener(c, l, taken, s)
		status.Listeners = append(status.Listeners, entry)
		for _, p := range l.Problems.List {
			if !slices.Contains(problems, p) { // listeners of one port share its validation of clients
				problems = append(problems, p)
			}
		}
		switch {
		case !l.Valid():
			invalid = append(invalid, l.Plan.Name)
		case taken != nil:
			problems = append(problems, taken.List...)
		case c.Accepted:
			programmed++
		}
	}
	conditions := &attach.Conditions{Generation: c.Gateway.Generation}
	accept(conditions, c, invalid)
	program(conditions, c, programmed, s.Fleet)
	resolve(conditions, c, status.Listeners)
	if warned := attach.About(insecureMode, c.Problems); len(warned) > 0 {
		conditions.Add(insecureMode, metav1.ConditionTrue, warned[0].Reason, attach.Message(warned))
	}
	if cut := attach.About(Limited, c.Problems); len(cut) > 0 {
		conditions.Add(Limited, metav1.ConditionTrue, cut[0].Reason, attach.Message(cut))
	}
	degrade(conditions, problems, s.Broken)
	conditions.Affected(s.Policies)
	status.Conditions = conditions.List
	if b.Plan != nil {
		ip := gwapiv1.IPAddressType
		for _, address := range c.Addresses {
			status.Addresses = append(status.Addresses, gwapiv1.GatewayStatusAddress{Type: &ip, Value: address})
		}
		if s.Fleet != nil {
			status.Addresses = s.Fleet.Addresses
		}
	}
	return &attach.Verdict{Status: status, Problems: problems}
}

// accept says whether the Gateway is served as written: with some listeners left out it still is, with all it is not.
func accept(conditions *attach.Conditions, c *Checked, invalid []string) {
	notValid := string(gwapiv1.GatewayReasonListenersNotValid)
	message := "not valid: " + strings.Join(invalid, ", ")
	switch {
	case !c.Accepted || len(invalid) == 0:
		conditions.Judge(attach.Accepted, string(gwapiv1.GatewayReasonAccepted), c.Problems)
	case len(invalid) == len(c.Listeners):
		conditions.Add(attach.Accepted, metav1.ConditionFalse, notValid, message)
	default:
		conditions.Add(attach.Accepted, metav1.ConditionTrue, notValid, message)
	}
}

func program(conditions *attach.Conditions, c *Checked, programmed int, fleet *attach.Fleet) {
	switch {
	case !c.Accepted:
		conditions.Add(attach.Programmed, metav1.ConditionFalse, string(gwapiv1.GatewayReasonInvalid), "the Gateway is not accepted")
	case programmed == 0:
		conditions.Add(attach.Programmed, metav1.ConditionFalse, string(gwapiv1.GatewayReasonInvalid), "no listener is programmed")
	case fleet != nil && !fleet.Programmed:
		conditions.Add(attach.Programmed, metav1.ConditionFalse, cmp.Or(fleet.Reason, string(gwapiv1.GatewayReasonPending)), fleet.Message)
	default:
		conditions.Add(attach.Programmed, metav1.ConditionTrue, string(gwapiv1.GatewayReasonProgrammed), "")
	}
}

// resolve says what became of the references of a Gateway that has some of its own; those of its listeners count along.
func resolve(conditions *attach.Conditions, c *Checked, listeners []gwapiv1.ListenerStatus) {
	if clientCertificateRef(c.Gateway) == nil {
		return
	}
	if len(attach.About(attach.ResolvedRefs, c.Problems)) == 0 {
		var unresolved []string
		for _, l := range listeners {
			if meta.IsStatusConditionFalse(l.Conditions, attach.ResolvedRefs) {
				unresolved = append(unresolved, string(l.Name))
			}
		}
		if len(unresolved) > 0 {
			conditions.Add(attach.ResolvedRefs, metav1.ConditionFalse, string(gwapiv1.GatewayReasonListenersNotResolved), "not resolved: "+strings.Join(unresolved, ", "))
			return
		}
	}
	conditions.Judge(attach.ResolvedRefs, string(gwapiv1.GatewayReasonResolvedRefs), c.Problems)
}

func degrade(conditions *attach.Conditions, own []problem.Problem, broken []string) {
	own = slices.DeleteFunc(slices.Clone(own), func(p problem.Problem) bool { return p.Warning || p.Condition == Limited })
	switch {
	case len(own) > 0:
		conditions.Add(Degraded, metav1.ConditionTrue, "GatewayBroken", attach.Message(own))
	case len(broken) > 0:
		message := attach.Words(broken[0]) + " is broken"
		if more := len(broken) - 1; more > 0 {
			message += fmt.Sprintf(", and %d more", more)
		}
		conditions.Add(Degraded, metav1.ConditionTrue, "AttachedBroken", message)
	}
}

func judgeListener(c *Checked, l *Listener, taken *attach.Problems, s Surroundings) gwapiv1.ListenerStatus {
	conditions := &attach.Conditions{Generation: c.Gateway.Generation}
	if clash := attach.About(conflicted, l.Problems.List); len(clash) > 0 {
		conditions.Add(attach.Accepted, metav1.ConditionFalse, clash[0].Reason, attach.Message(clash))
		conditions.Add(conflicted, metav1.ConditionTrue, clash[0].Reason, attach.Message(clash))
	} else {
		conditions.Judge(attach.Accepted, string(gwapiv1.ListenerReasonAccepted), l.Problems.List)
		conditions.Add(conflicted, metav1.ConditionFalse, string(gwapiv1.ListenerReasonNoConflicts), "")
	}
	conditions.Judge(attach.ResolvedRefs, string(gwapiv1.ListenerReasonResolvedRefs), l.Problems.List)
	switch {
	case !c.Accepted:
		conditions.Add(attach.Programmed, metav1.ConditionFalse, string(gwapiv1.ListenerReasonInvalid), "the Gateway is not accepted")
	case !l.Valid():
		conditions.Add(attach.Programmed, metav1.ConditionFalse, string(gwapiv1.ListenerReasonInvalid), attach.Message(l.Problems.List))
	case taken != nil:
		conditions.Judge(attach.Programmed, "", taken.List)
	case s.Fleet != nil && !s.Fleet.Programmed:
		conditions.Add(attach.Programmed, metav1.ConditionFalse, string(gwapiv1.ListenerReasonPending), s.Fleet.Message)
	default:
		conditions.Add(attach.Programmed, metav1.ConditionTrue, string(gwapiv1.ListenerReasonProgrammed), "")
	}
	if len(l.Overlaps) > 0 {
		conditions.Add(string(gwapiv1.ListenerConditionOverlappingTLSConfig), metav1.ConditionTrue, string(gwapiv1.ListenerReasonOverlappingHostnames),
			"the hostname overlaps that of listener "+strings.Join(l.Overlaps, ", "))
	}
	return gwapiv1.ListenerStatus{
		Name: gwapiv1.SectionName(l.Plan.Name), SupportedKinds: l.Kinds, AttachedRoutes: int32(min(s.Routes(l.Plan.Name), 1<<30)), //nolint:gosec // bounded here
		Conditions: conditions.List,
	}
}

// JudgeClass is the verdict on a GatewayClass, or nil for another controller's.
func JudgeClass(r *derive.Reader, in *attach.Inputs, key string, class *gwapiv1.GatewayClass, policies []string) *attach.Verdict {
	if class.Spec.ControllerName != attach.Controller {
		return nil
	}
	problems := attach.Problems{Object: key}
	if ceiling, ok := derive.Get(r, in.Ceilings, key); ok && ceiling.Wrong != nil {
		message := ceiling.Wrong.Message
		if ceiling.Known {
			message += "; what the class had before stays in force"
		}
		problems.Add(attach.Accepted, ceiling.Wrong.Reason, "spec.parametersRef", message, ceiling.Wrong.Mend)
	}
	conditions := attach.Conditions{Generation: class.Generation}
	conditions.Judge(attach.Accepted, string(gwapiv1.GatewayClassReasonAccepted), problems.List)
	if !in.Kubernetes { // there the schemas are the ones built in; a cluster's are not known here
		conditions.Add(string(gwapiv1.GatewayClassConditionStatusSupportedVersion), metav1.ConditionTrue, string(gwapiv1.GatewayClassReasonSupportedVersion), "")
	}
	conditions.Affected(policies)
	status := &attach.Status{Object: key, Conditions: conditions.List}
	if attach.Served(problems.List) {
		status.SupportedFeatures = Supported(in.Kubernetes)
	}
	return &attach.Verdict{Status: status, Problems: problems.List}
}

// Needs finds what names a Secret or ConfigMap.
func Needs(_ string, c *Checked) []string { return c.Needs }

// Planned are the plan's Gateways of a bound one.
func Planned(b *Bound) map[string]*plan.Gateway {
	if b.Plan == nil {
		return nil
	}
	return map[string]*plan.Gateway{b.Plan.Name: b.Plan}
}

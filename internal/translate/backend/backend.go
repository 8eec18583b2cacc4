// Package backend translates destinations: our Backend, the standard's XBackend, and the ports of Services with their EndpointSlices. Who may
// use one is route's and attach's business; whether an address may be dialled is decided by the data path, but for what
// no endpoint of a Service may ever be. translate calls it.
package backend

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Translated is a Backend, or an XBackend that was read into one.
type Translated struct {
	Backend  *v1alpha1.Backend
	Standard *Standard // set for an XBackend
	Plan     *plan.Backend
	Problems []problem.Problem
	Needs    []string // Secrets and ConfigMaps it names
}

// Needs finds what names a Secret or ConfigMap.
func Needs(_ string, t *Translated) []string { return t.Needs }

// Hostname is what a Backend is called, in lower case.
func Hostname(b *v1alpha1.Backend) string {
	switch {
	case b.Spec.ExternalHostname != nil:
		return strings.ToLower(b.Spec.ExternalHostname.Hostname)
	case b.Spec.Addresses != nil:
		return strings.ToLower(string(b.Spec.Addresses.Hostname))
	}
	return ""
}

// Translate makes the plan of a Backend. What is wrong with it leaves it in the plan with a fault.
func Translate(r *derive.Reader, in *attach.Inputs, key string, b *v1alpha1.Backend) map[string]*Translated {
	t := &Translated{Backend: b}
	t.translate(r, in, &attach.Problems{Object: key})
	return map[string]*Translated{key: t}
}

func (t *Translated) translate(r *derive.Reader, in *attach.Inputs, problems *attach.Problems) {
	b, key := t.Backend, problems.Object
	t.Plan = &plan.Backend{
		Name: key, Origin: plan.Resolved, Hostname: Hostname(b), Port: int(b.Spec.Port.Number), Protocol: plan.HTTP,
	}
	refuse := func(field, message, mend string) {
		problems.Add(attach.Accepted, string(gwapiv1.PolicyReasonInvalid), field, message, mend)
	}
	if why := in.Illegible(r, key); why != "" {
		refuse("spec", why, attach.Mend)
		t.close(problems)
		return
	}
	t.protocol(refuse)
	switch b.Spec.Type {
	case v1alpha1.BackendTypeExternalHostname:
		if what, mend := external(t.Plan.Hostname); what != "" {
			refuse("spec.externalHostname.hostname", what, mend)
		}
	case v1alpha1.BackendTypeAddresses:
		t.Plan.Origin = plan.Literal
		t.addresses(refuse)
	default:
		refuse("spec.type", fmt.Sprintf("type %s is not supported in this version", b.Spec.Type), "write ExternalHostname or Addresses")
	}
	t.secure(r, in, problems)
	t.close(problems)
}

// close leaves the Backend in the plan with a fault where it cannot be served.
func (t *Translated) close(problems *attach.Problems) {
	t.Problems = problems.List
	if !attach.Served(t.Problems) {
		t.Plan.Fault = &plan.Fault{Reason: t.Problems[0].Reason, Message: fmt.Sprintf("%s: %s: %s", attach.Words(problems.Object), t.Problems[0].Field, t.Problems[0].Message)}
	}
}

// protocol is what is spoken. Which HTTP/2 it is, by ALPN or with prior knowledge, follows from TLS; the two names of it
// hold what was meant against what is configured (GEP-4894).
func (t *Translated) protocol(refuse func(field, message, mend string)) {
	spec := &t.Backend.Spec
	clear := spec.TLS != nil && spec.TLS.Mode == v1alpha1.BackendTLSModeNone
	switch spec.Protocol {
	case "", v1alpha1.BackendProtocolHTTP:
	case v1alpha1.BackendProtocolHTTP11:
		t.Plan.Protocol = plan.HTTP11
	case v1alpha1.BackendProtocolHTTP2:
		t.Plan.Protocol = plan.HTTP2
		if clear {
			refuse("spec.protocol", "protocol HTTP2 needs TLS", "write H2C, or leave out tls.mode None")
		}
	case v1alpha1.BackendProtocolH2C:
		t.Plan.Protocol = plan.HTTP2
		if !clear {
			refuse("spec.protocol", "protocol H2C is in clear text, and tls asks for TLS", "write tls.mode None, or HTTP2")
		}
	case v1alpha1.BackendProtocolGRPC:
		t.Plan.Protocol = plan.HTTP2
	default:
		refuse("spec.protocol", fmt.Sprintf("protocol %s is not supported in this version", spec.Protocol), "write HTTP, HTTP11, HTTP2, H2C or GRPC")
	}
}

func (t *Translated) addresses(refuse func(field, message, mend string)) {
	if t.Backend.Spec.Addresses == nil {
		refuse("spec.addresses", "a Backend of type Addresses needs addresses", "write them")
		return
	}
	for i, address := range t.Backend.Spec.Addresses.Addresses {
		a, err := netip.ParseAddr(string(address))
		if err != nil {
			refuse(fmt.Sprintf("spec.addresses.addresses[%d]", i), "not an IP address", "write one such as 192.0.2.10")
			continue
		}
		t.Plan.Addresses = append(t.Plan.Addresses, plan.Endpoint{Address: a.String(), Port: t.Plan.Port})
	}
}

// written is what the status says of the backend at a Gateway.
func (t *Translated) written(gateway string) []metav1.Condition {
	at := attach.GatewayAncestor(gateway, nil).AncestorRef
	ancestors := t.Backend.Status.Ancestors
	if t.Standard != nil {
		before := Written(t.Standard.object)
		ancestors = before.Ancestors
		for _, p := range before.Parents {
			ancestors = append(ancestors, gwapiv1.PolicyAncestorStatus{AncestorRef: p.ParentRef, ControllerName: p.ControllerName, Conditions: p.Conditions})
		}
	}
	for _, a := range ancestors {
		if a.ControllerName == attach.Controller && reflect.DeepEqual(a.AncestorRef, at) {
			return a.Conditions
		}
	}
	return nil
}

// Judge is the verdict on a Backend that Gateways, as namespace/name, reach through routes.
func Judge(r *derive.Reader, in *attach.Inputs, t *Translated, gateways, policies []string) *attach.Verdict {
	v := &attach.Verdict{Problems: t.Problems}
	if t.Plan.Fault != nil {
		v.Degrades = gateways
	}
	var ours []gwapiv1.PolicyAncestorStatus
	for _, gateway := range gateways {
		conditions := attach.Conditions{Generation: t.Backend.Generation}
		conditions.Judge(attach.Accepted, string(gwapiv1.PolicyReasonAccepted), t.Problems)
		conditions.Judge(attach.ResolvedRefs, string(gwapiv1.RouteReasonResolvedRefs), t.Problems)
		conditions.Health(r, in.Hears, attach.Reach{Backend: t.Plan.Name, Gateway: gateway}, t.written(gateway))
		conditions.Affected(policies)
		ours = append(ours, attach.GatewayAncestor(gateway, conditions.List))
	}
	if t.Standard != nil {
		v.Status = t.Standard.status(t.Plan.Name, ours)
		return v
	}
	v.Status = &attach.Status{Object: t.Plan.Name, Ancestors: attach.Ancestors(t.Backend.Status.Ancestors, ours)}
	return v
}

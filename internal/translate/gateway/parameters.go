package gateway

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Settings are what GatewayParameters come to.
type Settings struct {
	Identity   []plan.StaticSource
	SPIFFE     []plan.SPIFFESource
	PodAddress bool
	Token      *plan.TokenSource
	Peers      []plan.Peer
	HopName    string
	needs      []string // ConfigMaps and Secrets
}

// The defaults of a source of type ServiceAccountToken.
const (
	tokenHeader   = "Proxy-Authorization"
	tokenAudience = "ebbgate"
)

// parameters resolves infrastructure.parametersRef, under the ceiling of the class. What is wrong with the parameters is
// wrong with the Gateway: with a source of identity left out, a weaker one could name its clients. What goes beyond the
// ceiling is cut back, and told.
func (c *Checked) parameters(r *derive.Reader, in *attach.Inputs, problems *attach.Problems) {
	const field = "spec.infrastructure.parametersRef"
	refuse := func(message, mend string) {
		problems.Add(attach.Accepted, string(gwapiv1.GatewayReasonInvalidParameters), field, message, mend)
	}
	class := in.Ceiling(r, string(c.Gateway.Spec.GatewayClassName))
	var own *v1alpha1.GatewayParameters
	if i := c.Gateway.Spec.Infrastructure; i != nil && i.ParametersRef != nil {
		ref := i.ParametersRef
		if ref.Group != attach.Group || ref.Kind != "GatewayParameters" {
			refuse(fmt.Sprintf("%s of group %q holds no parameters of a Gateway", ref.Kind, ref.Group), "name a GatewayParameters of group "+attach.Group)
			return
		}
		c.Parameters = plan.ObjectName("GatewayParameters", c.Gateway.Namespace, ref.Name)
		var ok bool
		if own, ok = derive.Get(r, in.Parameters.Collection, c.Parameters); !ok {
			refuse(attach.Words(c.Parameters)+" does not exist", "create it in the Gateway's namespace, or leave the reference out")
			return
		}
	}
	if class == nil && own == nil {
		c.Settings.PodAddress = in.Kubernetes
		return
	}
	limited := limit(class, own)
	for _, p := range limited.excess {
		problems.Add(p.Condition, p.Reason, field, fmt.Sprintf("%s: %s: %s", attach.Words(p.Object), p.Field, p.Message), p.Mend)
	}
	var wrong []problem.Problem
	if c.Settings, wrong = settings(r, in, limited); len(wrong) > 0 {
		refuse(fmt.Sprintf("%s: %s: %s", attach.Words(wrong[0].Object), wrong[0].Field, wrong[0].Message), wrong[0].Mend)
	}
	c.Running = &v1alpha1.GatewayParameters{Spec: limited.spec}
}

// settings reads parameters, and says what is wrong with them.
func settings(r *derive.Reader, in *attach.Inputs, l *limited) (Settings, []problem.Problem) {
	s := Settings{HopName: l.spec.HopName, PodAddress: in.Kubernetes && !l.named}
	var found []problem.Problem
	for i := range l.identity {
		source := &l.identity[i]
		problems := attach.Problems{Object: parametersName(source.of)}
		switch {
		case source.Type == v1alpha1.IdentitySourceStatic:
			s.static(&problems, source.field, source.Entries)
		case source.Type == v1alpha1.IdentitySourceSPIFFE && source.BundleRef != nil:
			s.spiffe(r, in, &problems, source.field, source.of, &source.IdentitySource)
		case source.Type == v1alpha1.IdentitySourcePodAddress && s.PodAddress, source.Type == v1alpha1.IdentitySourceServiceAccountToken && s.Token != nil:
			invalid(&problems, source.field+".type", "another source is of the same type", "leave one out")
		case source.Type == v1alpha1.IdentitySourcePodAddress:
			s.PodAddress = in.Kubernetes
		case source.Type == v1alpha1.IdentitySourceServiceAccountToken:
			s.token(r, in, &problems, source.field, &source.IdentitySource)
		default:
			invalid(&problems, source.field+".type", "not supported in this version", "write a type that the documentation names")
		}
		found = append(found, problems.List...)
	}
	problems := attach.Problems{Object: l.name, List: found}
	s.peers(&problems, l.peers)
	return s, problems.List
}

func invalid(problems *attach.Problems, field, message, mend string) {
	problems.Add(attach.Accepted, string(gwapiv1.PolicyReasonInvalid), field, message, mend)
}

func (s *Settings) static(problems *attach.Problems, field string, entries []v1alpha1.StaticIdentity) {
	for i, entry := range entries {
		prefix, err := netip.ParsePrefix(string(entry.CIDR))
		if err != nil || prefix != prefix.Masked() {
			invalid(problems, fmt.Sprintf("%s.entries[%d].cidr", field, i), "not a range of addresses", "write one such as 10.1.0.0/16, with no bits set after the prefix")
			continue
		}
		s.Identity = append(s.Identity, plan.StaticSource{
			CIDR: prefix.String(), Namespace: string(entry.Namespace), ServiceAccount: string(entry.ServiceAccount),
		})
	}
}

func (s *Settings) spiffe(r *derive.Reader, in *attach.Inputs, problems *attach.Problems, field string, parameters *v1alpha1.GatewayParameters, source *v1alpha1.IdentitySource) {
	if slices.ContainsFunc(s.SPIFFE, func(known plan.SPIFFESource) bool { return known.TrustDomain == source.TrustDomain }) {
		invalid(problems, field+".trustDomain", "another source has the same trust domain", "put the certificates of both into one bundle")
		return
	}
	from := attach.Party{Group: attach.Group, Kind: "GatewayParameters", Namespace: parameters.Namespace, Name: parameters.Name}
	to := attach.Party{Group: source.BundleRef.Group, Kind: source.BundleRef.Kind, Namespace: parameters.Namespace, Name: string(source.BundleRef.Name)}
	if to.Kind == "" {
		to.Kind = "ConfigMap"
	}
	bundle, wrong := in.Authorities(r, from, to, "InvalidBundleRef", string(gwapiv1.RouteReasonInvalidKind))
	if wrong != nil {
		problems.Add(attach.ResolvedRefs, wrong.Reason, field+".bundleRef", wrong.Message, wrong.Mend)
		return
	}
	s.SPIFFE = append(s.SPIFFE, plan.SPIFFESource{TrustDomain: source.TrustDomain, Bundle: bundle})
	s.needs = append(s.needs, bundle)
}

// token takes tokens as a source. Who signs them the controller finds out; until then none verifies.
func (s *Settings) token(r *derive.Reader, in *attach.Inputs, problems *attach.Problems, field string, source *v1alpha1.IdentitySource) {
	header := cmp.Or(source.Header, tokenHeader)
	if exchange.Reserved(header) && !strings.EqualFold(header, tokenHeader) || strings.EqualFold(header, "Host") {
		invalid(problems, field+".header", header+" is a field that has another meaning to the gateway", "write "+tokenHeader+", or a field of your own")
		return
	}
	if in.Kubernetes {
		s.Token = &plan.TokenSource{Header: header, Audience: cmp.Or(source.Audience, tokenAudience), Issuer: in.Issuer(r)}
	}
}

// peers are those whose word is believed: their certificates must be ones that a source verifies.
func (s *Settings) peers(problems *attach.Problems, peers []v1alpha1.TrustedPeer) {
	for i, peer := range peers {
		domain := trustDomain(peer.SPIFFE)
		if len(problems.List) == 0 && !slices.ContainsFunc(s.SPIFFE, func(source plan.SPIFFESource) bool { return source.TrustDomain == domain }) {
			invalid(problems, fmt.Sprintf("spec.trustedPeers[%d].spiffe", i), fmt.Sprintf("no source of spec.identity verifies the trust domain %s", domain),
				"add a source of type SPIFFE with its bundle")
		}
		made := plan.Peer{SPIFFE: peer.SPIFFE, Cluster: peer.Cluster}
		for _, namespace := range peer.Namespaces {
			made.Namespaces = append(made.Namespaces, string(namespace))
		}
		s.Peers = append(s.Peers, made)
	}
}

// trustDomain is that of a SPIFFE id.
func trustDomain(id string) string {
	domain, _, _ := strings.Cut(strings.TrimPrefix(id, "spiffe://"), "/")
	return domain
}

// JudgeParameters is the verdict on a GatewayParameters that Gateways, as namespace/name, or classes refer to.
func JudgeParameters(r *derive.Reader, in *attach.Inputs, key string, parameters *v1alpha1.GatewayParameters, gateways, classes []string) *attach.Verdict {
	_, found := settings(r, in, limit(nil, parameters))
	problems := attach.Problems{Object: key, List: found}
	if len(gateways)+len(classes) == 0 {
		problems.Warn("", "NoGateway", "", "no Gateway names it, and it has no effect", "write spec.infrastructure.parametersRef in a Gateway of its namespace")
	}
	if len(classes) > 0 && parameters.Spec.HopName != "" {
		problems.Warn(attach.Effective, attach.NoEffect, "spec.hopName", "has no effect on the Gateways of a class, of which no two may have the same name", "leave it out")
	}
	if !in.Kubernetes {
		warnStandalone(&problems, &parameters.Spec)
	}
	var ours []gwapiv1.PolicyAncestorStatus
	judge := func(entry func([]metav1.Condition) gwapiv1.PolicyAncestorStatus) {
		conditions := attach.Conditions{Generation: parameters.Generation}
		conditions.Judge(attach.Accepted, string(gwapiv1.PolicyReasonAccepted), problems.List)
		conditions.Judge(attach.ResolvedRefs, string(gwapiv1.RouteReasonResolvedRefs), problems.List)
		if len(attach.About(attach.Effective, problems.List)) > 0 {
			conditions.Judge(attach.Effective, "", problems.List)
		}
		ours = append(ours, entry(conditions.List))
	}
	for _, class := range classes {
		judge(func(list []metav1.Condition) gwapiv1.PolicyAncestorStatus {
			return attach.Ancestor(gwapiv1.GroupName, "GatewayClass", "", class, list)
		})
	}
	for _, gateway := range gateways {
		judge(func(list []metav1.Condition) gwapiv1.PolicyAncestorStatus {
			return attach.GatewayAncestor(gateway, list)
		})
	}
	return &attach.Verdict{
		Status:   &attach.Status{Object: key, Ancestors: attach.Ancestors(parameters.Status.Ancestors, ours)},
		Problems: problems.List,
	}
}

// warnStandalone tells of what only Kubernetes can do: standalone there is one process, and its addresses are the Gateway's.
func warnStandalone(problems *attach.Problems, spec *v1alpha1.GatewayParametersSpec) {
	const message = "has no effect standalone, where one process is all there is"
	if spec.Deployment != nil {
		problems.Warn(attach.Effective, attach.NoEffect, "spec.deployment", message, "leave it out")
	}
	if spec.Service != nil {
		problems.Warn(attach.Effective, attach.NoEffect, "spec.service", message, "leave it out, and write spec.addresses in the Gateway")
	}
	if !slices.ContainsFunc(spec.Identity, everywhere) { // else the list is meant for Kubernetes too
		for i := range spec.Identity {
			problems.Warn(attach.Effective, attach.NoEffect, fmt.Sprintf("spec.identity[%d]", i),
				"has no effect standalone, where there are no Pods and no ServiceAccounts", "leave it out, or add a source of type: Static or type: SPIFFE")
		}
	}
}

// everywhere reports whether a source names clients standalone too.
func everywhere(source v1alpha1.IdentitySource) bool {
	return source.Type == v1alpha1.IdentitySourceStatic || source.Type == v1alpha1.IdentitySourceSPIFFE
}

// ByParameters finds Gateways by the GatewayParameters that they name.
func ByParameters(_ string, c *Checked) []string {
	if c.Parameters == "" {
		return nil
	}
	return []string{c.Parameters}
}

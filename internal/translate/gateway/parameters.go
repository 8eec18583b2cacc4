package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Settings are what GatewayParameters come to.
type Settings struct {
	Identity []plan.StaticSource
	SPIFFE   []plan.SPIFFESource
	Peers    []plan.Peer
	HopName  string
	needs    []string // ConfigMaps and Secrets
}

// parameters resolves infrastructure.parametersRef. What is wrong with the parameters is wrong with the Gateway: with a
// source of identity left out, a weaker one could name its clients.
func (c *Checked) parameters(r *derive.Reader, in *attach.Inputs, problems *attach.Problems) {
	if c.Gateway.Spec.Infrastructure == nil || c.Gateway.Spec.Infrastructure.ParametersRef == nil {
		return
	}
	const field = "spec.infrastructure.parametersRef"
	ref := c.Gateway.Spec.Infrastructure.ParametersRef
	refuse := func(message, mend string) {
		problems.Add(attach.Accepted, string(gwapiv1.GatewayReasonInvalidParameters), field, message, mend)
	}
	if ref.Group != attach.Group || ref.Kind != "GatewayParameters" {
		refuse(fmt.Sprintf("%s of group %q holds no parameters of a Gateway", ref.Kind, ref.Group), "name a GatewayParameters of group "+attach.Group)
		return
	}
	c.Parameters = plan.ObjectName("GatewayParameters", c.Gateway.Namespace, ref.Name)
	parameters, ok := derive.Get(r, in.Parameters.Collection, c.Parameters)
	if !ok {
		refuse(attach.Words(c.Parameters)+" does not exist", "create it in the Gateway's namespace, or leave the reference out")
		return
	}
	var wrong []problem.Problem
	if c.Settings, wrong = settings(r, in, c.Parameters, parameters); len(wrong) > 0 {
		refuse(fmt.Sprintf("%s: %s: %s", attach.Words(c.Parameters), wrong[0].Field, wrong[0].Message), wrong[0].Mend)
	}
}

// settings reads GatewayParameters, and says what is wrong with them.
func settings(r *derive.Reader, in *attach.Inputs, key string, parameters *v1alpha1.GatewayParameters) (Settings, []problem.Problem) {
	s := Settings{HopName: parameters.Spec.HopName}
	problems := attach.Problems{Object: key}
	for i := range parameters.Spec.Identity {
		source, field := &parameters.Spec.Identity[i], fmt.Sprintf("spec.identity[%d]", i)
		switch {
		case source.Type == v1alpha1.IdentitySourceStatic:
			s.static(&problems, field, source.Entries)
		case source.Type == v1alpha1.IdentitySourceSPIFFE && source.BundleRef != nil:
			s.spiffe(r, in, &problems, field, parameters, source)
		default:
			invalid(&problems, field+".type", "not supported in this version", "write type: Static or type: SPIFFE")
		}
	}
	s.peers(&problems, parameters.Spec.TrustedPeers)
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

// peers are those whose word is believed: their certificates must be ones that a source verifies.
func (s *Settings) peers(problems *attach.Problems, peers []v1alpha1.TrustedPeer) {
	for i, peer := range peers {
		domain, _, _ := strings.Cut(strings.TrimPrefix(peer.SPIFFE, "spiffe://"), "/")
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

// JudgeParameters is the verdict on a GatewayParameters that Gateways, as namespace/name, refer to.
func JudgeParameters(r *derive.Reader, in *attach.Inputs, key string, parameters *v1alpha1.GatewayParameters, gateways []string) *attach.Verdict {
	_, found := settings(r, in, key, parameters)
	problems := attach.Problems{Object: key, List: found}
	if len(gateways) == 0 {
		problems.Warn("", "NoGateway", "", "no Gateway names it, and it has no effect", "write spec.infrastructure.parametersRef in a Gateway of its namespace")
	}
	if !in.Kubernetes {
		warnStandalone(&problems, &parameters.Spec)
	}
	var ours []gwapiv1.PolicyAncestorStatus
	for _, gateway := range gateways {
		conditions := attach.Conditions{Generation: parameters.Generation}
		conditions.Judge(attach.Accepted, string(gwapiv1.PolicyReasonAccepted), problems.List)
		conditions.Judge(attach.ResolvedRefs, string(gwapiv1.RouteReasonResolvedRefs), problems.List)
		if len(attach.About(attach.Effective, problems.List)) > 0 {
			conditions.Judge(attach.Effective, "", problems.List)
		}
		ours = append(ours, attach.GatewayAncestor(gateway, conditions.List))
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
}

// ByParameters finds Gateways by the GatewayParameters that they name.
func ByParameters(_ string, c *Checked) []string {
	if c.Parameters == "" {
		return nil
	}
	return []string{c.Parameters}
}

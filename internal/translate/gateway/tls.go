package gateway

import (
	"fmt"
	"slices"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// party is a Gateway as one that refers to others.
func party(g *gwapiv1.Gateway) attach.Party {
	return attach.Party{Group: gwapiv1.GroupName, Kind: "Gateway", Namespace: g.Namespace, Name: g.Name}
}

// frontend is the validation of clients on a port (GEP-91): the port's own in place of the default, also where it is
// none. Field is where it is written.
func frontend(g *gwapiv1.Gateway, port gwapiv1.PortNumber) (validation *gwapiv1.FrontendTLSValidation, field string) {
	if g.Spec.TLS == nil || g.Spec.TLS.Frontend == nil {
		return nil, ""
	}
	for i, p := range g.Spec.TLS.Frontend.PerPort {
		if p.Port == port {
			return p.TLS.Validation, fmt.Sprintf("spec.tls.frontend.perPort[%d].tls.validation", i)
		}
	}
	return g.Spec.TLS.Frontend.Default.Validation, "spec.tls.frontend.default.validation"
}

// clients resolves whose certificates the clients of a listener must present. With some of the references broken those
// of the others' authorities are let in; with all, the listener is not served.
func (l *Listener) clients(r *derive.Reader, in *attach.Inputs, g *gwapiv1.Gateway) {
	validation, field := frontend(g, gwapiv1.PortNumber(l.Plan.Port)) //nolint:gosec // it came from one
	if validation == nil {
		return
	}
	made := &plan.ClientValidation{Roots: []string{}, Insecure: validation.Mode == gwapiv1.AllowInsecureFallback}
	for i, ref := range validation.CACertificateRefs {
		to := attach.Party{Group: string(ref.Group), Kind: string(ref.Kind), Namespace: attach.Or(ref.Namespace, g.Namespace), Name: string(ref.Name)}
		name, wrong := in.Authorities(r, party(g), to, string(gwapiv1.ListenerReasonInvalidCACertificateRef), string(gwapiv1.ListenerReasonInvalidCACertificateKind))
		if wrong != nil {
			l.Problems.Add(attach.ResolvedRefs, wrong.Reason, fmt.Sprintf("%s.caCertificateRefs[%d]", field, i), wrong.Message, wrong.Mend)
			continue
		}
		made.Roots = append(made.Roots, name)
	}
	if len(made.Roots) == 0 {
		l.Problems.Add(attach.Accepted, string(gwapiv1.ListenerReasonNoValidCACertificate), field+".caCertificateRefs",
			"none of the CA certificates can be used", "name a ConfigMap with certificates under ca.crt")
	}
	l.Plan.Clients = made
}

// warnPorts tells of ports that are spoken of and that no HTTPS listener has: what is written there holds nowhere.
func warnPorts(problems *attach.Problems, g *gwapiv1.Gateway) {
	if g.Spec.TLS == nil || g.Spec.TLS.Frontend == nil {
		return
	}
	var ports []gwapiv1.PortNumber
	for _, l := range g.Spec.Listeners {
		if l.Protocol == gwapiv1.HTTPSProtocolType && !slices.Contains(ports, l.Port) {
			ports = append(ports, l.Port)
		}
	}
	slices.Sort(ports)
	mend := "leave it out, or write a listener of protocol HTTPS"
	switch len(ports) {
	case 0:
	case 1:
		mend = fmt.Sprintf("write %d", ports[0])
	default:
		mend = "write one of " + strings.Trim(strings.ReplaceAll(fmt.Sprint(ports), " ", ", "), "[]")
	}
	for i, p := range g.Spec.TLS.Frontend.PerPort {
		if !slices.Contains(ports, p.Port) {
			problems.Warn("", "NoListener", fmt.Sprintf("spec.tls.frontend.perPort[%d].port", i), fmt.Sprintf("no HTTPS listener has port %d", p.Port), mend)
		}
	}
}

// insecure are the places at which a Gateway lets in clients whatever their certificates.
func insecure(g *gwapiv1.Gateway) []string {
	if g.Spec.TLS == nil || g.Spec.TLS.Frontend == nil {
		return nil
	}
	var fields []string
	look := func(validation *gwapiv1.FrontendTLSValidation, field string) {
		if validation != nil && validation.Mode == gwapiv1.AllowInsecureFallback {
			fields = append(fields, field+".mode")
		}
	}
	look(g.Spec.TLS.Frontend.Default.Validation, "spec.tls.frontend.default.validation")
	for i, p := range g.Spec.TLS.Frontend.PerPort {
		look(p.TLS.Validation, fmt.Sprintf("spec.tls.frontend.perPort[%d].tls.validation", i))
	}
	return fields
}

// insecureMode is the condition of a Gateway that does so, and the reason of the warning.
const insecureMode = string(gwapiv1.GatewayConditionInsecureFrontendValidationMode)

func warnInsecure(problems *attach.Problems, g *gwapiv1.Gateway) {
	for _, field := range insecure(g) {
		problems.Warn(insecureMode, string(gwapiv1.GatewayReasonConfigurationChanged), field,
			"clients are let in without a valid certificate, as clients without a name", "write AllowValidOnly")
	}
}

// certificate resolves the Gateway's client certificate. One that cannot be used leaves the Gateway served, and fails
// closed the backends that ask for it.
func (c *Checked) certificate(r *derive.Reader, in *attach.Inputs, problems *attach.Problems) {
	ref := clientCertificateRef(c.Gateway)
	if ref == nil {
		return
	}
	const field = "spec.tls.backend.clientCertificateRef"
	invalid := string(gwapiv1.GatewayReasonInvalidClientCertificateRef)
	refuse := func(wrong *attach.Wrong) {
		problems.Add(attach.ResolvedRefs, wrong.Reason, field, wrong.Message, wrong.Mend)
		c.CertificateFault = &plan.Fault{Reason: wrong.Reason, Message: fmt.Sprintf("%s: %s: %s", attach.Words(problems.Object), field, wrong.Message)}
	}
	if attach.Or(ref.Group, "") != "" || attach.Or(ref.Kind, "Secret") != "Secret" {
		refuse(&attach.Wrong{Reason: invalid, Message: "only a Secret holds a client certificate", Mend: "name a Secret of type kubernetes.io/tls"})
		return
	}
	name, wrong := in.KeyPair(r, party(c.Gateway), attach.Or(ref.Namespace, c.Gateway.Namespace), string(ref.Name), invalid)
	if wrong != nil {
		refuse(wrong)
		return
	}
	c.Certificate = name
}

func clientCertificateRef(g *gwapiv1.Gateway) *gwapiv1.SecretObjectReference {
	if g.Spec.TLS == nil || g.Spec.TLS.Backend == nil {
		return nil
	}
	return g.Spec.TLS.Backend.ClientCertificateRef
}

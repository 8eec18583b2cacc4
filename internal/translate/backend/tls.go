package backend

import (
	"fmt"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// The reasons of references that lead nowhere.
const (
	invalidAuthority   = string(gwapiv1.BackendTLSPolicyReasonInvalidCACertificateRef)
	invalidKind        = string(gwapiv1.BackendTLSPolicyReasonInvalidKind)
	invalidCertificate = string(gwapiv1.GatewayReasonInvalidClientCertificateRef)
)

// secure makes the TLS part: without one a Backend is verified against the system's roots; clear text must be written.
func (t *Translated) secure(r *derive.Reader, in *attach.Inputs, problems *attach.Problems) {
	config := t.Backend.Spec.TLS
	if config == nil {
		config = &v1alpha1.BackendTLS{}
	}
	if config.Mode == v1alpha1.BackendTLSModeNone {
		return
	}
	t.Plan.TLS = &plan.TLS{Hostname: t.Plan.Hostname, MinVersion: string(v1alpha1.TLSVersion12)}
	if strings.HasPrefix(t.Plan.Hostname, "*.") {
		t.Plan.TLS.Hostname = ""
	}
	if config.MinVersion != "" {
		t.Plan.TLS.MinVersion = string(config.MinVersion)
	}
	t.validation(r, in, problems, config.Validation)
	switch config.Mode {
	case "", v1alpha1.BackendTLSModeServerOnly:
	case v1alpha1.BackendTLSModeClientAndServer:
		t.certificate(r, in, problems, config.ClientCertificateRef)
	default:
		problems.Add(attach.Accepted, string(gwapiv1.PolicyReasonInvalid), "spec.tls.mode",
			fmt.Sprintf("mode %s is not supported in this version", config.Mode), "write None, ServerOnly or ClientAndServer")
	}
}

func (t *Translated) validation(r *derive.Reader, in *attach.Inputs, problems *attach.Problems, v *v1alpha1.BackendTLSValidation) {
	if v == nil {
		t.Plan.TLS.SystemRoots = true
		return
	}
	if v.Hostname != nil && *v.Hostname != "" {
		t.Plan.TLS.Hostname = strings.ToLower(string(*v.Hostname))
	}
	for _, name := range v.SubjectAltNames {
		san := plan.SAN{Type: string(name.Type), Value: string(name.Hostname)}
		if name.Type == gwapiv1.URISubjectAltNameType {
			san.Value = string(name.URI)
		}
		t.Plan.TLS.SANs = append(t.Plan.TLS.SANs, san)
	}
	if known := v.WellKnownCACertificates; known != nil && *known != gwapiv1.WellKnownCACertificatesSystem {
		problems.Add(attach.Accepted, string(gwapiv1.PolicyReasonInvalid), "spec.tls.validation.wellKnownCACertificates",
			fmt.Sprintf("no certificates are known by the name %s", *known), "write System, or name CA certificates")
	}
	t.Plan.TLS.SystemRoots = len(v.CACertificateRefs) == 0
	for i, ref := range v.CACertificateRefs {
		kind := ref.Kind
		if kind == "" {
			kind = "ConfigMap"
		}
		to := attach.Party{Group: ref.Group, Kind: kind, Namespace: t.Backend.Namespace, Name: string(ref.Name)}
		name, wrong := in.Authorities(r, t.party(), to, invalidAuthority, invalidKind)
		if wrong != nil {
			problems.Add(attach.ResolvedRefs, wrong.Reason, fmt.Sprintf("spec.tls.validation.caCertificateRefs[%d]", i), wrong.Message, wrong.Mend)
			continue
		}
		t.Plan.TLS.Roots = append(t.Plan.TLS.Roots, name)
		t.Needs = append(t.Needs, name)
	}
}

// party is the Backend as one that refers to others.
func (t *Translated) party() attach.Party {
	if t.Standard != nil {
		return attach.Party{Group: attach.StandardGroup, Kind: "XBackend", Namespace: t.Backend.Namespace, Name: t.Backend.Name}
	}
	return attach.Party{Group: attach.Group, Kind: "Backend", Namespace: t.Backend.Namespace, Name: t.Backend.Name}
}

// certificate resolves our own; where the Backend names none it is that of the Gateway through which it is reached.
func (t *Translated) certificate(r *derive.Reader, in *attach.Inputs, problems *attach.Problems, ref *gwapiv1.SecretObjectReference) {
	const field = "spec.tls.clientCertificateRef"
	if ref == nil {
		t.Plan.TLS.GatewayCertificate, t.Plan.TLS.Mutual = true, true
		return
	}
	if attach.Or(ref.Group, "") != "" || attach.Or(ref.Kind, "Secret") != "Secret" {
		problems.Add(attach.ResolvedRefs, invalidCertificate, field, "only a Secret holds a client certificate", "name a Secret of type kubernetes.io/tls")
		return
	}
	name, wrong := in.KeyPair(r, t.party(), attach.Or(ref.Namespace, t.Backend.Namespace), string(ref.Name), invalidCertificate)
	if wrong != nil {
		problems.Add(attach.ResolvedRefs, wrong.Reason, field, wrong.Message, wrong.Mend)
		return
	}
	t.Plan.TLS.ClientCertificate = name
	t.Needs = append(t.Needs, name)
}

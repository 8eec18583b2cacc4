package backendtls

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// The options of ours. Those of other implementations are none of our business.
const (
	domain            = v1alpha1.GroupName + "/"
	optionCertificate = domain + "client-certificate-ref"
	optionMinVersion  = domain + "min-version"
)

// unbuilt are options that would make verification stricter, and that this version has not.
var unbuilt = []string{domain + "spki-pins", domain + "crl-refs", domain + "ocsp", domain + "revocation-on-unknown"}

func translate(refs policy.References, object policy.Object) any {
	spec := &object.(Object).Spec
	t := &plan.TLS{
		Hostname: strings.ToLower(string(spec.Validation.Hostname)), GatewayCertificate: true, MinVersion: string(v1alpha1.TLSVersion12),
	}
	if _, err := netip.ParseAddr(t.Hostname); err == nil {
		refs.Invalid("spec.validation.hostname", "an IP address is no host name", "write the name in the destination's certificate")
	}
	for _, name := range spec.Validation.SubjectAltNames {
		san := plan.SAN{Type: string(name.Type), Value: string(name.Hostname)}
		if name.Type == gwapiv1.URISubjectAltNameType {
			san.Value = string(name.URI)
		}
		t.SANs = append(t.SANs, san)
	}
	if known := spec.Validation.WellKnownCACertificates; known != nil && *known != "" {
		t.SystemRoots = *known == gwapiv1.WellKnownCACertificatesSystem
		if !t.SystemRoots {
			refs.Invalid("spec.validation.wellKnownCACertificates", fmt.Sprintf("no certificates are known by the name %s", *known),
				"write System, or name CA certificates")
		}
	}
	t.Roots = refs.Authorities("spec.validation.caCertificateRefs", spec.Validation.CACertificateRefs)
	options(refs, t, spec.Options)
	return &Config{TLS: t}
}

func options(refs policy.References, t *plan.TLS, written map[gwapiv1.AnnotationKey]gwapiv1.AnnotationValue) {
	for _, key := range slices.Sorted(maps.Keys(written)) {
		name, value := string(key), string(written[key])
		field := "spec.options." + name
		switch {
		case name == optionCertificate:
			namespace, secret, found := strings.Cut(value, "/")
			if !found {
				namespace, secret = "", value
			}
			t.ClientCertificate = refs.KeyPair(field, namespace, secret)
		case name == optionMinVersion:
			t.MinVersion = value
			if value != string(v1alpha1.TLSVersion12) && value != string(v1alpha1.TLSVersion13) {
				refs.Invalid(field, "there is no such version to ask for", `write "1.2" or "1.3"`)
			}
		case slices.Contains(unbuilt, name):
			refs.Invalid(field, "not supported in this version", "leave it out")
		case strings.HasPrefix(name, domain) || !strings.Contains(name, "/"):
			refs.Invalid(field, "no such option is known", "write "+optionCertificate+" or "+optionMinVersion)
		}
	}
}

package backendtls

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// refs resolves everything but what is named "gone".
type refs struct {
	policy.References
	invalid []string
}

func (r *refs) Invalid(field, _, _ string) { r.invalid = append(r.invalid, field) }

func (r *refs) Authorities(_ string, list []gwapiv1.LocalObjectReference) []string {
	var names []string
	for _, ref := range list {
		if ref.Name != "gone" {
			names = append(names, plan.ObjectName(string(ref.Kind), "ai", string(ref.Name)))
		}
	}
	return names
}

func (r *refs) KeyPair(_, namespace, name string) string {
	if namespace == "" {
		namespace = "ai"
	}
	return plan.ObjectName("Secret", namespace, name)
}

func TestTranslate(t *testing.T) {
	f := func(change func(*gwapiv1.BackendTLSPolicySpec), want plan.TLS, invalid ...string) {
		t.Helper()
		p := &gwapiv1.BackendTLSPolicy{Spec: gwapiv1.BackendTLSPolicySpec{Validation: gwapiv1.BackendTLSPolicyValidation{
			Hostname: "Inside.test", WellKnownCACertificates: new(gwapiv1.WellKnownCACertificatesSystem),
		}}}
		change(&p.Spec)
		want.GatewayCertificate = true
		r := &refs{}
		got := translate(r, Kind().Object(p))
		if diff := cmp.Diff(&Config{TLS: &want}, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(invalid, r.invalid); diff != "" {
			t.Error(diff)
		}
	}
	type spec = gwapiv1.BackendTLSPolicySpec
	option := func(pairs ...string) func(*spec) {
		return func(s *spec) {
			s.Options = map[gwapiv1.AnnotationKey]gwapiv1.AnnotationValue{}
			for i := 0; i < len(pairs); i += 2 {
				s.Options[gwapiv1.AnnotationKey(pairs[i])] = gwapiv1.AnnotationValue(pairs[i+1])
			}
		}
	}
	system := plan.TLS{Hostname: "inside.test", SystemRoots: true, MinVersion: "1.2"}
	f(func(*spec) {}, system)
	f(func(s *spec) {
		s.Validation.WellKnownCACertificates = nil
		s.Validation.CACertificateRefs = []gwapiv1.LocalObjectReference{{Kind: "ConfigMap", Name: "ca"}, {Kind: "Secret", Name: "ca"}, {Kind: "ConfigMap", Name: "gone"}}
		s.Validation.SubjectAltNames = []gwapiv1.SubjectAltName{{Type: "Hostname", Hostname: "a.test"}, {Type: "URI", URI: "spiffe://t/a"}}
	}, plan.TLS{
		Hostname: "inside.test", MinVersion: "1.2", Roots: []string{"ConfigMap/ai/ca", "Secret/ai/ca"},
		SANs: []plan.SAN{{Type: "Hostname", Value: "a.test"}, {Type: "URI", Value: "spiffe://t/a"}},
	})
	f(func(s *spec) {
		s.Validation.WellKnownCACertificates = new(gwapiv1.WellKnownCACertificatesType("example.com/own"))
	},
		plan.TLS{Hostname: "inside.test", MinVersion: "1.2"}, "spec.validation.wellKnownCACertificates")
	f(func(s *spec) { s.Validation.Hostname = "192.0.2.1" },
		plan.TLS{Hostname: "192.0.2.1", SystemRoots: true, MinVersion: "1.2"}, "spec.validation.hostname")
	certain := system
	certain.ClientCertificate, certain.MinVersion = "Secret/ai/client", "1.3"
	f(option("ebbgate.dev/client-certificate-ref", "client", "ebbgate.dev/min-version", "1.3"), certain)
	far := system
	far.ClientCertificate = "Secret/certs/client"
	f(option("ebbgate.dev/client-certificate-ref", "certs/client"), far)
	old := system
	old.MinVersion = "1.1"
	f(option("ebbgate.dev/min-version", "1.1"), old, "spec.options.ebbgate.dev/min-version")
	f(option("example.com/min-version", "9"), system)
	f(option("min-version", "1.3"), system, "spec.options.min-version")
	f(option("ebbgate.dev/other", ""), system, "spec.options.ebbgate.dev/other")
	for _, name := range []string{"spki-pins", "crl-refs", "ocsp", "revocation-on-unknown"} {
		f(option("ebbgate.dev/"+name, "x"), system, "spec.options.ebbgate.dev/"+name)
	}
}

func TestRefuses(t *testing.T) {
	f := func(target runtime.Object, want gwapiv1.PolicyConditionReason) {
		t.Helper()
		if reason, message, mend := refuses(target); reason != want || (message == "") != (want == "") || (mend == "") != (want == "") {
			t.Errorf("%q: %s (%s)", reason, message, mend)
		}
	}
	f(&v1alpha1.Backend{}, "")
	f(&v1alpha1.Backend{Spec: v1alpha1.BackendSpec{TLS: &v1alpha1.BackendTLS{Mode: v1alpha1.BackendTLSModeNone}}}, gwapiv1.PolicyReasonConflicted)
	f(&unstructured.Unstructured{}, gwapiv1.PolicyReasonInvalid)
}

func TestTune(t *testing.T) {
	kind := Kind()
	f := func(want *plan.TLS, configs ...any) {
		t.Helper()
		s := policy.NewSettings()
		stage, err := kind.Apply(policy.Env{}, policy.Merge(kind.Config(), configs...))
		if err != nil {
			t.Fatal(err)
		}
		if stage != nil {
			stage.(policy.Tuner).Tune(&s)
			if n := testing.AllocsPerRun(100, func() { stage.(policy.Tuner).Tune(&s) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		}
		if s.TLS != want { // by pointer: the table keys connections by it
			t.Errorf("%+v", s.TLS)
		}
	}
	service, port := &plan.TLS{Hostname: "a.test", SystemRoots: true}, &plan.TLS{Hostname: "b.test"}
	f(nil)
	f(service, &Config{TLS: service})
	f(port, &Config{TLS: service}, &Config{TLS: port})
}

func TestOtherObjects(t *testing.T) {
	if Kind().Object(&v1alpha1.Backend{}) != nil {
		t.Error("a Backend became a policy")
	}
}

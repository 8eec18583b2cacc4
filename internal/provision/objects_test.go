package provision

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/schema"
)

var update = flag.Bool("update", false, "write the goldens")

var config = Config{
	Image: "registry.example/ebbgate-proxy:1", Controller: "ebbgate-controller.ebbgate-system.svc:9903",
	CA: []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
}

// TestGoldens provisions the Gateway of each case, with the GatewayParameters that stand beside it: input.yaml gives
// objects.yaml and problems.txt. A comment "only Kind …" above the files writes the objects of those kinds alone.
func TestGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	validator := schema.New()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			gateway, parameters := load(t, validator, archive.Files[0].Data)
			objects, problems := Objects(gateway, parameters, config)
			again, _ := Objects(gateway, parameters, config)
			if diff := cmp.Diff(objects, again); diff != "" {
				t.Errorf("a second time it differs:\n%s", diff)
			}
			_, list, some := strings.Cut(string(archive.Comment), "only ")
			only := strings.Fields(strings.ReplaceAll(list, ",", " "))
			var text bytes.Buffer
			for _, o := range objects {
				if some && !slices.Contains(only, o.GetObjectKind().GroupVersionKind().Kind) {
					continue
				}
				fmt.Fprintf(&text, "---\n%s", written(t, o))
			}
			got := txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: []txtar.File{
				archive.Files[0], {Name: "objects.yaml", Data: text.Bytes()}, {Name: "problems.txt", Data: lines(problems)},
			}})
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("run with -update if this is meant:\n%s", diff)
			}
		})
	}
}

// written is an object as it is applied, without its hash.
func written(t *testing.T, o Object) []byte {
	t.Helper()
	fields, err := encode(o)
	if err != nil {
		t.Fatal(err)
	}
	unstructured.RemoveNestedField(fields, "metadata", "annotations", AnnotationApplied)
	text, err := yaml.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func lines(problems []problem.Problem) []byte {
	var text strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&text, "%s=False %s %s\n", p.Condition, p.Reason, p)
	}
	return []byte(text.String())
}

// load decodes a Gateway and its GatewayParameters, defaulted and checked as an API server would.
func load(t *testing.T, validator *schema.Validator, text []byte) (gateway *gwapiv1.Gateway, parameters *v1alpha1.GatewayParameters) {
	t.Helper()
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if err == io.EOF {
			return gateway, parameters
		} else if err != nil {
			t.Fatal(err)
		}
		data, err := yaml.YAMLToJSON(document)
		if err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(data); err != nil {
			t.Fatal(err)
		}
		for _, issue := range validator.Check(t.Context(), u) {
			t.Error(issue)
		}
		object, err := validator.Decode(u)
		if err != nil {
			t.Fatal(err)
		}
		switch o := object.(type) {
		case *gwapiv1.Gateway:
			gateway = o
		case *v1alpha1.GatewayParameters:
			parameters = o
		}
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 60)
	seen := map[string]string{}
	for _, c := range []struct{ gateway, class, want string }{
		{"egress", "ebbgate", "egress-ebbgate"},
		{"a", "b-c", "a-b-c-b88f83c840"}, // else it were that of the next
		{"a-b", "c", "a-b-c"},
		{"7up", "ebbgate", ""},
		{"g7up", "ebbgate", "g7up-ebbgate"},
		{"team.egress", "ebbgate", ""},
		{"team-egress", "ebbgate", "team-egress-ebbgate"},
		{long, "ebbgate", ""},
		{long + "a", "ebbgate", ""},
		{strings.Repeat("a.", 100) + "a", strings.Repeat("b", 200), ""},
		{strings.Repeat("a", 51) + "-" + long, "ebbgate", ""}, // is cut at its dash
	} {
		got := name(c.gateway, c.class)
		if c.want != "" && got != c.want {
			t.Errorf("%s of class %s is named %s, want %s", c.gateway, c.class, got, c.want)
		}
		if wrong := validation.IsDNS1035Label(got); len(wrong) > 0 {
			t.Errorf("%s of class %s is named %s: %v", c.gateway, c.class, got, wrong)
		}
		if other, taken := seen[got]; taken {
			t.Errorf("%s is the name of %s and of %s/%s", got, other, c.gateway, c.class)
		}
		seen[got] = c.gateway + "/" + c.class
		if wrong := validation.IsValidLabelValue(labelValue(c.gateway)); len(wrong) > 0 {
			t.Errorf("the label of %s: %v", c.gateway, wrong)
		}
	}
}

func TestAddresses(t *testing.T) {
	serviceOf := func(kind corev1.ServiceType, clusterIPs []string, ingress ...corev1.LoadBalancerIngress) *corev1.Service {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Type: kind, ClusterIPs: clusterIPs}, Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: ingress}}}
		s.Namespace, s.Name = "ai", "egress-ebbgate"
		return s
	}
	const inside = "Hostname egress-ebbgate.ai.svc.cluster.local"
	own := []string{"10.96.0.7", "fd00::7"}
	for _, c := range []struct {
		title   string
		spec    []string
		service *corev1.Service
		want    []string
		reasons []string
	}{
		{"no Service", nil, nil, nil, nil},
		{"its own", nil, serviceOf(corev1.ServiceTypeClusterIP, own), []string{"IPAddress 10.96.0.7", "IPAddress fd00::7", inside}, nil},
		{"any", []string{""}, serviceOf(corev1.ServiceTypeClusterIP, own[:1]), []string{"IPAddress 10.96.0.7", inside}, nil},
		{"asked for", []string{"fd00::7"}, serviceOf(corev1.ServiceTypeClusterIP, own), []string{"IPAddress fd00::7"}, nil},
		{"one of two", []string{"10.96.0.7", "fd00::8"}, serviceOf(corev1.ServiceTypeClusterIP, own), []string{"IPAddress 10.96.0.7"}, []string{"AddressNotUsable"}},
		{"not there", []string{"10.96.0.8"}, serviceOf(corev1.ServiceTypeClusterIP, own), nil, []string{"AddressNotUsable"}},
		{"a load balancer's", nil, serviceOf(corev1.ServiceTypeLoadBalancer, own, corev1.LoadBalancerIngress{IP: "192.0.2.7"}, corev1.LoadBalancerIngress{Hostname: "lb.example"}),
			[]string{"IPAddress 192.0.2.7", "Hostname lb.example", inside}, nil},
		{"none yet", nil, serviceOf(corev1.ServiceTypeLoadBalancer, own), []string{inside}, []string{"AddressNotAssigned"}},
		{"asked of a load balancer", []string{"192.0.2.7"}, serviceOf(corev1.ServiceTypeLoadBalancer, own, corev1.LoadBalancerIngress{IP: "192.0.2.7"}), []string{"IPAddress 192.0.2.7"}, nil},
		{"a cluster's, of a load balancer", []string{"10.96.0.7"}, serviceOf(corev1.ServiceTypeLoadBalancer, own), nil, []string{"AddressNotUsable"}},
	} {
		g := &gwapiv1.Gateway{}
		for _, value := range c.spec {
			g.Spec.Addresses = append(g.Spec.Addresses, gwapiv1.GatewaySpecAddress{Value: value})
		}
		addresses, problems := Addresses(g, c.service, "cluster.local")
		var got, reasons []string
		for _, a := range addresses {
			got = append(got, string(*a.Type)+" "+a.Value)
		}
		for _, p := range problems {
			reasons = append(reasons, p.Reason)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: addresses\n%s", c.title, diff)
		}
		if diff := cmp.Diff(c.reasons, reasons); diff != "" {
			t.Errorf("%s: reasons\n%s", c.title, diff)
		}
	}
}

package helm_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/ebbgate/ebbgate/internal/controller"
)

const account = "system:serviceaccount:" + namespace + ":ebbgate-controller"

// may asks the API server whether somebody has a right.
func (c *cluster) may(t *testing.T, who string, right authorizationv1.ResourceAttributes) bool {
	t.Helper()
	review, err := c.admin.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: who, Groups: []string{"system:serviceaccounts", "system:authenticated"}, ResourceAttributes: &right},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

// TestRules holds the chart's roles to the rights that the controller names itself, and its bindings to the roles.
func TestRules(t *testing.T) {
	for _, file := range values(t) {
		objects := render(t, "--values", file)
		for _, c := range []struct {
			kind, name string
			want       []rbacv1.PolicyRule
		}{
			{"ClusterRole", "ebbgate-controller", controller.ClusterRules()},
			{"Role", "ebbgate-controller", controller.NamespaceRules()},
			{"ClusterRole", "ebbgate-controller-secrets", controller.SecretRules()},
		} {
			role := find[rbacv1.ClusterRole](t, objects, c.kind, c.name)
			if diff := cmp.Diff(c.want, role.Rules); diff != "" {
				t.Errorf("%s: %s %s (-controller +chart):\n%s", file, c.kind, c.name, diff)
			}
		}
		for _, o := range objects {
			if o.GroupVersionKind().Group != rbacv1.GroupName || !strings.HasSuffix(o.GetKind(), "Binding") {
				continue
			}
			binding := find[rbacv1.ClusterRoleBinding](t, []*unstructured.Unstructured{o}, o.GetKind(), o.GetName())
			want := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "ebbgate-controller"}}
			if diff := cmp.Diff(want, binding.Subjects); diff != "" || binding.RoleRef.Name != o.GetName() {
				t.Errorf("%s: %s %s gives %s to (-want +got):\n%s", file, o.GetKind(), o.GetName(), binding.RoleRef.Name, diff)
			}
		}
	}
}

// TestSecretRights gives the controller the rights that the chart does, and asks the API server whose Secrets it may read.
func TestSecretRights(t *testing.T) {
	c := newCluster(t)
	for _, test := range []struct {
		values string
		reads  map[string]bool
	}{
		{"default.yaml", map[string]bool{"team-a": true, "team-b": true, "elsewhere": true, "": true}},
		{"all.yaml", map[string]bool{"team-a": true, "team-b": true, "elsewhere": false, namespace: false, "": false}},
		{"least.yaml", map[string]bool{"team-a": true, "team-b": false, "elsewhere": false, namespace: false, "": false}},
	} {
		t.Run(test.values, func(t *testing.T) {
			var given []*unstructured.Unstructured
			for _, o := range render(t, "--values", filepath.Join("testdata", "values", test.values)) {
				if o.GroupVersionKind().Group == "rbac.authorization.k8s.io" {
					c.put(t, o)
					given = append(given, o)
				}
			}
			defer c.remove(t, given)
			await(t, func() error {
				var errs []error
				for in, want := range test.reads {
					for _, verb := range []string{"list", "watch"} {
						if got := c.may(t, account, authorizationv1.ResourceAttributes{Namespace: in, Verb: verb, Resource: "secrets"}); got != want {
							errs = append(errs, fmt.Errorf("it may %s Secrets of %q: %t, want %t", verb, in, got, want))
						}
					}
				}
				return errors.Join(errs...)
			})
			for _, verb := range []string{"create", "update", "patch", "delete", "deletecollection"} {
				if c.may(t, account, authorizationv1.ResourceAttributes{Namespace: "team-a", Verb: verb, Resource: "secrets"}) {
					t.Errorf("it may %s Secrets", verb)
				}
			}
			for _, other := range []string{"default", "egress-ebbgate"} {
				if c.may(t, "system:serviceaccount:team-a:"+other, authorizationv1.ResourceAttributes{Namespace: "team-a", Verb: "get", Resource: "configmaps"}) {
					t.Errorf("the chart gives %s a right", other)
				}
			}
		})
	}
}

func (c *cluster) remove(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	for _, o := range objects {
		in, err := c.of(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, func() error {
		if c.may(t, account, authorizationv1.ResourceAttributes{Namespace: "team-a", Verb: "list", Resource: "secrets"}) {
			return errors.New("rights that were taken are still there")
		}
		return nil
	})
}

package apiserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ebbgate/ebbgate/internal/testkit/apiserver"
)

var suite apiserver.Suite

func TestMain(m *testing.M) {
	suite.Tests = m
	goleak.VerifyTestMain(&suite)
}

func clients(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRights shows that RBAC decides: who has no Role is refused, by token and by impersonation, and who has one is not.
func TestRights(t *testing.T) {
	server := suite.Server(t)
	namespace, other := server.Namespace(t), server.Namespace(t)
	reader := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "reader"}
	allow(t, clients(t, server.Admin()), namespace, reader)

	account := server.ServiceAccount(t, namespace, reader.Name)
	for _, c := range []struct {
		who       string
		config    *rest.Config
		namespace string
		allowed   bool
	}{
		{"administrator", server.Admin(), namespace, true},
		{"account with a Role", account, namespace, true},
		{"account with a Role elsewhere", account, other, false},
		{"account without one", server.ServiceAccount(t, namespace, "nobody"), namespace, false},
		{"account with a Role, impersonated", server.As("system:serviceaccount:" + namespace + ":reader"), namespace, true},
		{"user without a Role", server.As("jane", "developers"), namespace, false},
	} {
		_, err := clients(t, c.config).CoreV1().Secrets(c.namespace).List(t.Context(), metav1.ListOptions{})
		if c.allowed && err != nil || !c.allowed && !errors.IsForbidden(err) {
			t.Errorf("%s: error %v, allowed is to be %t", c.who, err, c.allowed)
		}
	}

	stranger := server.Admin()
	stranger.BearerToken = "made-up"
	if _, err := clients(t, stranger).CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{}); !errors.IsUnauthorized(err) {
		t.Errorf("unknown token: error %v, want that it is unauthorized", err)
	}
}

// allow lets the subject read the Secrets of a namespace.
func allow(t *testing.T, admin *kubernetes.Clientset, namespace string, subject rbacv1.Subject) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "read"}
	rules := []rbacv1.PolicyRule{{APIGroups: []string{corev1.GroupName}, Resources: []string{"secrets"}, Verbs: []string{"list"}}}
	if _, err := admin.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: []rbacv1.Subject{subject},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
	}
	if _, err := admin.RbacV1().RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestPods shows that a Pod is admitted, as the client that a source looks up: it needs its namespace's ServiceAccount.
func TestPods(t *testing.T) {
	server := suite.Server(t)
	namespace := server.Namespace(t)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "client"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "kube.local/app:1"}}},
	}
	got, err := clients(t, server.Admin()).CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Spec.ServiceAccountName != "default" {
		t.Errorf("ServiceAccount %q, want default", got.Spec.ServiceAccountName)
	}
}

// TestCloseLeavesNothing runs a second server beside the first.
func TestCloseLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	server, err := apiserver.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config := server.Admin()
	if _, err := clients(t, config).Discovery().ServerVersion(); err != nil {
		t.Error(err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if _, err := clients(t, config).Discovery().ServerVersion(); err == nil {
		t.Error("answers after its end")
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v (%v)", left, err)
	}
}

// TestStartFails says why, and leaves nothing either.
func TestStartFails(t *testing.T) {
	for _, c := range []struct{ name, etcd, want string }{
		{"not built", "", "run test/cluster/cluster.sh control-plane"},
		{"ends at once", "#!/bin/sh\necho no room >&2\nexit 3\n", "etcd ended by itself (exit status 3): no room"},
	} {
		t.Run(c.name, func(t *testing.T) {
			state, folder := t.TempDir(), t.TempDir()
			t.Setenv("KUBE_STATE", state)
			t.Setenv("TMPDIR", folder)
			if c.etcd != "" {
				bin := filepath.Join(state, "bin")
				if err := os.Mkdir(bin, 0o700); err != nil {
					t.Fatal(err)
				}
				for name, text := range map[string]string{"etcd": c.etcd, "kube-apiserver": "#!/bin/sh\nexec sleep 600\n"} {
					if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
						t.Fatal(err)
					}
				}
			}
			server, err := apiserver.Start(t.Context())
			if err == nil {
				t.Fatal("started", server.Close())
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q in it", err, c.want)
			}
			if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
				t.Errorf("left: %v (%v)", left, err)
			}
		})
	}
}

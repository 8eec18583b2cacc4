package apiserver

import (
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Admin is the configuration of a client that may do everything. It is the caller's to change.
func (s *Server) Admin() *rest.Config { return rest.CopyConfig(s.admin) }

// As is the configuration of a client that is the user, by impersonation.
func (s *Server) As(user string, groups ...string) *rest.Config {
	config := s.Admin()
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return config
}

// ServiceAccount makes a ServiceAccount, and is the configuration of a client with its token.
func (s *Server) ServiceAccount(t testing.TB, namespace, name string) *rest.Config {
	t.Helper()
	accounts := s.clients(t).CoreV1().ServiceAccounts(namespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := accounts.Create(t.Context(), account, metav1.CreateOptions{})
	must(t, err)
	request, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	config := s.Admin()
	config.BearerToken = request.Status.Token
	return config
}

// Namespace makes a namespace for one test, with the ServiceAccount that Pods have by default.
func (s *Server) Namespace(t testing.TB) string {
	t.Helper()
	clients := s.clients(t).CoreV1()
	namespace, err := clients.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	must(t, err)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err = clients.ServiceAccounts(namespace.Name).Create(t.Context(), account, metav1.CreateOptions{})
	must(t, err)
	return namespace.Name
}

func (s *Server) clients(t testing.TB) *kubernetes.Clientset {
	t.Helper()
	clients, err := kubernetes.NewForConfig(s.admin)
	must(t, err)
	return clients
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

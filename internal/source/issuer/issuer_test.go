package issuer

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit/apiserver"
)

var suite apiserver.Suite

func TestMain(m *testing.M) {
	suite.Tests = m
	goleak.VerifyTestMain(&suite)
}

// watch runs a Watcher until the test ends.
func watch(t *testing.T, config *rest.Config) <-chan *plan.Issuer {
	t.Helper()
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	found := make(chan *plan.Issuer, 100)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	w := New(Config{Client: clients.Discovery().RESTClient(), Logger: slog.New(slog.DiscardHandler), Every: time.Millisecond})
	running.Go(func() { w.Run(ctx, func(i *plan.Issuer) { found <- i }) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return found
}

func next(t *testing.T, found <-chan *plan.Issuer) *plan.Issuer {
	t.Helper()
	select {
	case i := <-found:
		return i
	case <-time.After(30 * time.Second):
		t.Fatal("no issuer is found")
		return nil
	}
}

// TestAnAPIServer: the rights that Rules names are enough, and what the API server signs with is what is found.
func TestAnAPIServer(t *testing.T) {
	server := suite.Server(t)
	namespace := server.Namespace(t)
	account := server.ServiceAccount(t, namespace, "controller")
	admin, err := kubernetes.NewForConfig(server.Admin())
	if err != nil {
		t.Fatal(err)
	}
	name := metav1.ObjectMeta{Name: namespace}
	if _, err := admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: name, Rules: Rules()}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: namespace},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "controller"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	found := next(t, watch(t, account))
	if !strings.HasPrefix(found.URL, "https://") || !strings.Contains(found.Keys, `"kid"`) {
		t.Errorf("%+v", found)
	}
}

// TestKeysAreRotated: what was found stays while nothing can be asked, or what is said is nonsense, and follows what is said next.
func TestKeysAreRotated(t *testing.T) {
	var mu sync.Mutex
	status, names, set := 200, `{"issuer":"https://a.test","jwks_uri":"https://elsewhere.test"}`, `{"keys":[{"kid":"1"}],"more":1}`
	say := func(code int, configured, keys string) {
		mu.Lock()
		defer mu.Unlock()
		status, names, set = code, configured, keys
	}
	asked := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		select {
		case asked <- struct{}{}:
		default:
		}
		w.WriteHeader(status)
		text := set
		if r.URL.Path == configuration {
			text = names
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	found := watch(t, &rest.Config{Host: server.URL, QPS: -1})
	if i := next(t, found); *i != (plan.Issuer{URL: "https://a.test", Keys: `{"keys":[{"kid":"1"}]}`}) {
		t.Errorf("%+v", i)
	}
	for _, wrong := range []struct {
		status      int
		names, keys string
	}{
		{500, names, set}, {403, names, set}, {200, "nonsense", set}, {200, "{}", set}, {200, names, "nonsense"}, {200, names, `{"keys":[]}`},
		{200, names, `{"keys":["` + strings.Repeat("x", maxAnswer) + `"]}`},
	} {
		say(wrong.status, wrong.names, wrong.keys)
		for range 5 { // the first of which may be of what was said before
			<-asked
		}
	}
	if i := next(t, watch(t, &rest.Config{Host: server.URL, QPS: -1})); *i != (plan.Issuer{}) {
		t.Errorf("%+v where nothing can be known", i)
	}
	say(200, names, `{"keys":[{"kid":"2"}]}`)
	if i := next(t, found); i.Keys != `{"keys":[{"kid":"2"}]}` {
		t.Errorf("%+v", i)
	}
}

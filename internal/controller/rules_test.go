package controller

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/schema"
)

// grant gives a ServiceAccount rules, in a namespace, or in the whole cluster where that is empty.
func (c *cluster) grant(account, namespace string, rules []rbacv1.PolicyRule) {
	c.t.Helper()
	rbac := c.typed().RbacV1()
	name := metav1.ObjectMeta{Name: account + "-" + c.namespace}
	subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: c.namespace, Name: account}}
	var err error
	if namespace == "" {
		_, err = rbac.ClusterRoles().Create(c.t.Context(), &rbacv1.ClusterRole{ObjectMeta: name, Rules: rules}, metav1.CreateOptions{})
		must(c.t, err)
		_, err = rbac.ClusterRoleBindings().Create(c.t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: name, Subjects: subjects, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: name.Name},
		}, metav1.CreateOptions{})
	} else {
		_, err = rbac.Roles(namespace).Create(c.t.Context(), &rbacv1.Role{ObjectMeta: name, Rules: rules}, metav1.CreateOptions{})
		must(c.t, err)
		_, err = rbac.RoleBindings(namespace).Create(c.t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: name, Subjects: subjects, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: name.Name},
		}, metav1.CreateOptions{})
	}
	must(c.t, err)
}

// TestRules: with its rules and no others a controller reads the cluster, leads, runs and tells proxies, and writes
// statuses; without one of them, it does not.
func TestRules(t *testing.T) {
	c := newCluster(t)
	c.apply(manifests)
	c.apply(`apiVersion: v1
kind: Service
metadata: {name: ebbgate-controller}
spec: {ports: [{port: 9443}]}
`)
	const account = "ebbgate-controller"
	c.grant(account, "", ClusterRules())
	c.grant(account, c.namespace, append(NamespaceRules(), SecretRules()...))
	complaints := &complaints{t: t}
	r := c.runAs(Config{
		REST: c.server.ServiceAccount(t, c.namespace, account), Identity: "one", Logger: slog.New(complaints),
		Address: "192.0.2.1", SecretNamespaces: []string{c.namespace}, Trust: Trust{Life: time.Hour, Settle: time.Minute, Check: 100 * time.Millisecond},
	})
	c.until("EgressPolicy", "openai", "accepted", is("Accepted", metav1.ConditionTrue))
	c.until("Deployment", "egress-ebbgate", "running", replicas(2))
	pod := c.pod(c.set("egress-ebbgate"), nil)
	p := c.proxy(r, c.token("egress-ebbgate", pod, plan.TokenAudience))
	select {
	case <-p.plans:
	case <-time.After(patience):
		t.Fatal("no plan came")
	}
	p.tells.Store(denied("", "", exchange.RouteNotFound, 1))
	c.event("Gateway", "RouteNotFound", 1)
	c.readyOf("egress-ebbgate", 1)
	c.until("Gateway", "egress", "programmed", isProgrammed)
	for range 2 { // once more after somebody took it away
		for end := time.Now().Add(patience); ; {
			slices := c.typed().DiscoveryV1().EndpointSlices(c.namespace)
			slice, err := slices.Get(t.Context(), "ebbgate-controller-leader", metav1.GetOptions{})
			if err == nil && slice.Endpoints[0].Addresses[0] == "192.0.2.1" && slice.Labels["kubernetes.io/service-name"] == "ebbgate-controller" {
				must(t, slices.Delete(t.Context(), slice.Name, metav1.DeleteOptions{}))
				break
			}
			if time.Now().After(end) {
				t.Fatalf("the controller is not behind its Service: %v, %v", slice, err)
			}
		}
	}
}

// complaints fails a test for what is logged as an error.
type complaints struct{ t *testing.T }

func (*complaints) Enabled(context.Context, slog.Level) bool { return true }
func (h *complaints) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h *complaints) WithGroup(string) slog.Handler          { return h }
func (h *complaints) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		text := r.Message
		r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
		h.t.Error(text)
	}
	return nil
}

// TestRulesReadEveryKind: a kind that is new to the schema is one that the controller must be let read.
func TestRulesReadEveryKind(t *testing.T) {
	c := newCluster(t)
	resources := map[string]map[string]string{} // by API group and kind
	for _, rule := range append(ClusterRules(), SecretRules()...) {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				if resources[group] == nil {
					resources[group] = map[string]string{}
				}
				resources[group][resource] = resource
			}
		}
	}
	for _, kind := range schema.New().Kinds() {
		list, err := c.typed().Discovery().ServerResourcesForGroupVersion(metav1.GroupVersion{Group: kind.Group, Version: kind.Versions[0]}.String())
		must(t, err)
		for _, r := range list.APIResources {
			if r.Kind == kind.Kind && !strings.Contains(r.Name, "/") && resources[kind.Group][r.Name] == "" {
				t.Errorf("no rule for %s of %q", r.Name, kind.Group)
			}
		}
	}
}

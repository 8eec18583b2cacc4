// Package provision makes of a Gateway what Kubernetes runs for it: a Deployment of proxies with its Service,
// ServiceAccount and ConfigMap, a PodDisruptionBudget and a HorizontalPodAutoscaler, all in the Gateway's own namespace
// and owned by it, so that they go with it. Objects is a pure function; Applier brings a cluster to its result, and
// Addresses reads from the Service where the Gateway is reached. It does not judge Gateways (translate does), starts no
// informer and writes no status. The controller calls it.
package provision

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
)

// Config is what all Gateways have in common.
type Config struct {
	Image      string // of the proxy; it has the command ebbgate-proxy
	Controller string // host:port of the controller, as seen from a proxy
	CA         []byte // PEM, what the controller's certificate is verified by
}

// Object is an object of Kubernetes with its apiVersion and kind.
type Object interface {
	runtime.Object
	metav1.Object
}

// The labels of every object. Those of spec.infrastructure.labels stand beside them and never replace them.
const (
	LabelName      = "app.kubernetes.io/name"       // ebbgate-proxy
	LabelInstance  = "app.kubernetes.io/instance"   // the objects' name
	LabelComponent = "app.kubernetes.io/component"  // proxy
	LabelManagedBy = "app.kubernetes.io/managed-by" // ebbgate
	LabelGateway   = gwapiv1.GatewayNameLabelKey    // GEP-1762

	proxyName = "ebbgate-proxy"
	managedBy = "ebbgate"
)

// Objects are what a Gateway needs, in the order in which they are applied. Parameters are those that it names, or nil.
// The problems are of addresses that it cannot have, and hinder nothing else.
func Objects(g *gwapiv1.Gateway, parameters *v1alpha1.GatewayParameters, c Config) ([]Object, []problem.Problem) {
	p := proxy{gateway: g, config: c, name: Name(g), serviceType: corev1.ServiceTypeClusterIP}
	if parameters != nil {
		if parameters.Spec.Deployment != nil {
			p.deployed = *parameters.Spec.Deployment
		}
		if parameters.Spec.Service != nil {
			p.serviceType = corev1.ServiceType(parameters.Spec.Service.Type)
		}
	}
	objects := []Object{p.serviceAccount(), p.trust()}
	service, problems := p.service()
	if len(service.Spec.Ports) > 0 { // Kubernetes has no Service without
		objects = append(objects, service)
	}
	objects = append(objects, p.deployment())
	if p.deployed.Autoscaling != nil {
		objects = append(objects, p.autoscaler())
	}
	if p.several() {
		objects = append(objects, p.budget())
	}
	return objects, problems
}

// proxy is a Gateway that is being provisioned.
type proxy struct {
	gateway     *gwapiv1.Gateway
	deployed    v1alpha1.ProxyDeployment
	serviceType corev1.ServiceType
	config      Config
	name        string
}

// meta is the metadata of an object. The reference to its owner blocks no deletion: that would need the right to update a
// Gateway's finalizers where the API server asks for it.
func (p *proxy) meta() metav1.ObjectMeta {
	controller := true
	return metav1.ObjectMeta{
		Name: p.name, Namespace: p.gateway.Namespace, Labels: p.labels(), Annotations: p.annotations(),
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: gwapiv1.GroupVersion.String(), Kind: "Gateway", Name: p.gateway.Name, UID: p.gateway.UID, Controller: &controller,
		}},
	}
}

func (p *proxy) labels() map[string]string {
	labels := map[string]string{}
	if p.gateway.Spec.Infrastructure != nil {
		for key, value := range p.gateway.Spec.Infrastructure.Labels {
			labels[string(key)] = string(value)
		}
	}
	maps.Copy(labels, p.selector())
	labels[LabelComponent] = "proxy"
	labels[LabelManagedBy] = managedBy
	labels[LabelGateway] = labelValue(p.gateway.Name)
	return labels
}

func (p *proxy) annotations() map[string]string {
	if p.gateway.Spec.Infrastructure == nil || len(p.gateway.Spec.Infrastructure.Annotations) == 0 {
		return nil
	}
	annotations := map[string]string{}
	for key, value := range p.gateway.Spec.Infrastructure.Annotations {
		annotations[string(key)] = string(value)
	}
	return annotations
}

// selector are the labels by which the proxies' Pods are found. A Deployment's never change.
func (p *proxy) selector() map[string]string {
	return map[string]string{LabelName: proxyName, LabelInstance: p.name}
}

// serviceAccount names the proxies to the controller. It has no rights, and no token is mounted but the one for the controller.
func (p *proxy) serviceAccount() *corev1.ServiceAccount {
	mount := false
	return &corev1.ServiceAccount{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: p.meta(), AutomountServiceAccountToken: &mount,
	}
}

// trust is what a proxy verifies the controller by. A Pod mounts ConfigMaps of its own namespace alone.
func (p *proxy) trust() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: p.meta(), Data: map[string]string{caKey: string(p.config.CA)},
	}
}

// about is a problem of the Gateway's condition Programmed.
func about(g *gwapiv1.Gateway, reason, field, message, mend string) problem.Problem {
	return problem.Problem{
		Object: plan.ObjectName("Gateway", g.Namespace, g.Name), Field: field, Condition: string(gwapiv1.GatewayConditionProgrammed),
		Reason: reason, Message: message, Mend: mend,
	}
}

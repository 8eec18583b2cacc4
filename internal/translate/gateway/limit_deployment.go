package gateway

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
)

// deployment limits how much runs, and where. Affinity and spread have no more and no less: there the class has defaults alone.
func (l *limited) deployment(class, own *v1alpha1.ProxyDeployment) *v1alpha1.ProxyDeployment {
	switch {
	case class == nil:
		return own
	case own == nil:
		return class
	}
	d := own.DeepCopy()
	l.count(class, d)
	d.Resources = l.resources(class.Resources, d.Resources)
	l.nodes(class.NodeSelector, d)
	l.tolerations(class.Tolerations, d)
	if d.Affinity == nil {
		d.Affinity = class.Affinity
	}
	if len(d.TopologySpread) == 0 {
		d.TopologySpread = class.TopologySpread
	}
	if class.PriorityClass != "" && d.PriorityClass != class.PriorityClass {
		if d.PriorityClass != "" {
			l.over("spec.deployment.priorityClass", fmt.Sprintf("%s is not %s", d.PriorityClass, class.PriorityClass), "leave it out")
		}
		d.PriorityClass = class.PriorityClass
	}
	return d
}

// count limits how many proxies run, to autoscaling.max of the class or its replicas.
func (l *limited) count(class, d *v1alpha1.ProxyDeployment) {
	var most int32
	switch {
	case class.Autoscaling != nil:
		most = class.Autoscaling.Max
	case class.Replicas != nil:
		most = *class.Replicas
	default:
		return
	}
	above := func(field string, wanted int32) bool {
		if wanted > most {
			l.over("spec.deployment."+field, fmt.Sprintf("%d is above %d", wanted, most), fmt.Sprintf("write at most %d", most))
		}
		return wanted > most
	}
	switch {
	case d.Autoscaling != nil:
		if above("autoscaling.max", d.Autoscaling.Max) {
			d.Autoscaling.Max, d.Autoscaling.Min = most, min(d.Autoscaling.Min, most)
		}
	case d.Replicas != nil:
		if above("replicas", *d.Replicas) {
			d.Replicas = &most
		}
	default:
		d.Replicas, d.Autoscaling = class.Replicas, class.Autoscaling
	}
}

func (l *limited) resources(class, own *v1alpha1.ProxyResources) *v1alpha1.ProxyResources {
	switch {
	case class == nil:
		return own
	case own == nil:
		return class
	}
	const field = "spec.deployment.resources."
	made := &v1alpha1.ProxyResources{
		Requests: l.quantities(field+"requests", class.Requests, own.Requests),
		Limits:   l.quantities(field+"limits", class.Limits, own.Limits),
	}
	if made.Requests != nil && made.Limits != nil { // a request that is one's own may be above a limit that is the other's
		requests := *made.Requests
		requests.CPU, requests.Memory = lower(requests.CPU, made.Limits.CPU), lower(requests.Memory, made.Limits.Memory)
		made.Requests = &requests
	}
	return made
}

// lower is what is asked for, or the limit where that is lower.
func lower(asked, most *resource.Quantity) *resource.Quantity {
	if asked != nil && most != nil && asked.Cmp(*most) > 0 {
		return most
	}
	return asked
}

func (l *limited) quantities(field string, class, own *v1alpha1.ProxyQuantities) *v1alpha1.ProxyQuantities {
	switch {
	case class == nil:
		return own
	case own == nil:
		return class
	}
	return &v1alpha1.ProxyQuantities{CPU: l.quantity(field+".cpu", class.CPU, own.CPU), Memory: l.quantity(field+".memory", class.Memory, own.Memory)}
}

func (l *limited) quantity(field string, class, own *resource.Quantity) *resource.Quantity {
	switch {
	case own == nil:
		return class
	case class != nil && own.Cmp(*class) > 0:
		l.over(field, fmt.Sprintf("%s is above %s", own, class), fmt.Sprintf("write at most %s", class))
		return class
	}
	return own
}

// nodes adds the class's labels to the Gateway's: each leaves fewer nodes.
func (l *limited) nodes(class map[string]string, d *v1alpha1.ProxyDeployment) {
	for _, label := range slices.Sorted(maps.Keys(class)) {
		if own, ok := d.NodeSelector[label]; ok && own != class[label] {
			l.over("spec.deployment.nodeSelector", fmt.Sprintf("%s is %s and not %s", label, own, class[label]), "leave the label out")
		}
		if d.NodeSelector == nil {
			d.NodeSelector = map[string]string{}
		}
		d.NodeSelector[label] = class[label]
	}
}

func (l *limited) tolerations(class []corev1.Toleration, d *v1alpha1.ProxyDeployment) {
	switch {
	case len(class) == 0:
		return
	case len(d.Tolerations) == 0:
		d.Tolerations = class
		return
	}
	var kept []corev1.Toleration
	for i, own := range d.Tolerations {
		if slices.ContainsFunc(class, func(t corev1.Toleration) bool { return reflect.DeepEqual(t, own) }) {
			kept = append(kept, own)
			continue
		}
		l.over(fmt.Sprintf("spec.deployment.tolerations[%d]", i), fmt.Sprintf("the taint %q is not borne so in spec.deployment.tolerations", own.Key), "leave it out")
	}
	d.Tolerations = kept
}

// service limits how the proxies are reached: an address for clients outside is more than one inside.
func (l *limited) service(class, own *v1alpha1.ProxyService) *v1alpha1.ProxyService {
	switch {
	case class == nil:
		return own
	case own == nil:
		return class
	}
	if own.Type == v1alpha1.ProxyServiceLoadBalancer && class.Type != v1alpha1.ProxyServiceLoadBalancer {
		l.over("spec.service.type", fmt.Sprintf("%s is more than %s", own.Type, class.Type), fmt.Sprintf("write %s", class.Type))
		return class
	}
	return own
}

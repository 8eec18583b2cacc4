package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// ProxyDeployment says how many proxies a Gateway has, and where they run. It is no template of a Pod: what the proxies
// may do is the controller's to say. What the API server refuses of the Deployment gives the Gateway Programmed=False.
// All but replicas and autoscaling restarts the proxies, one after the other, when it changes.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.autoscaling)",message="replicas must not be set with autoscaling: write autoscaling.min"
type ProxyDeployment struct {
	// Replicas is how many proxies run, 1 to 1000. Another value, or one beside autoscaling, is refused at admission.
	// Default: 2.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Replicas *int32 `json:"replicas,omitempty"`

	// Autoscaling has a HorizontalPodAutoscaler choose the number of proxies. Default: none.
	//
	// +optional
	Autoscaling *ProxyAutoscaling `json:"autoscaling,omitempty"`

	// Resources are what a proxy asks for and may use.
	//
	// +optional
	Resources *ProxyResources `json:"resources,omitempty"`

	// NodeSelector is the labels of the nodes that proxies may run on, as in a Pod. Default: any node. At most 32.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Tolerations are the taints of nodes that proxies bear, as in a Pod. Default: none. At most 32.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// Affinity is where proxies run with regard to nodes and other Pods, as in a Pod. Default: none.
	//
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// TopologySpread spreads the proxies evenly. Default: across nodes (kubernetes.io/hostname), as far as it can be. 1 to
	// 8; the same key twice is refused at admission.
	//
	// +optional
	// +listType=map
	// +listMapKey=topologyKey
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	TopologySpread []ProxySpread `json:"topologySpread,omitempty"`

	// PriorityClass names the PriorityClass of the proxies. Default: the cluster's. A value that is no DNS name, or one of
	// Kubernetes' own that begin with system-, is refused at admission.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('system-')",message="must not be one of Kubernetes' own: name a class without system-"
	PriorityClass string `json:"priorityClass,omitempty"`
}

// ProxyAutoscaling has the number of proxies follow their use of CPU. It needs the cluster's metrics server.
//
// +kubebuilder:validation:XValidation:rule="self.min <= self.max",message="max must not be below min"
type ProxyAutoscaling struct {
	// Min is the fewest proxies, 1 to 1000. Another value is refused at admission. Default: 2.
	//
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Min int32 `json:"min,omitempty"`

	// Max is the most proxies, 1 to 1000. Required; another value, or one below min, is refused at admission.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Max int32 `json:"max"`

	// CPU is the use of CPU that is aimed at, in percent of what the proxies ask for (resources.requests.cpu), 1 to 1000.
	// Another value is refused at admission. Default: 70.
	//
	// +optional
	// +kubebuilder:default=70
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	CPU int32 `json:"cpu,omitempty"`
}

// ProxyResources are the resources of one proxy.
//
// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.requests.cpu) || !has(self.limits) || !has(self.limits.cpu) || quantity(string(self.requests.cpu)).compareTo(quantity(string(self.limits.cpu))) <= 0",message="requests.cpu must not be above limits.cpu"
// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.requests.memory) || !has(self.limits) || !has(self.limits.memory) || quantity(string(self.requests.memory)).compareTo(quantity(string(self.limits.memory))) <= 0",message="requests.memory must not be above limits.memory"
type ProxyResources struct {
	// Requests are what a proxy is sure to have; above the limits they are refused at admission. Default: cpu 100m, memory 96Mi, or of each the limit where one is written
	// and lower.
	//
	// +optional
	Requests *ProxyQuantities `json:"requests,omitempty"`

	// Limits are what a proxy may use at most. Default: no limit. The proxy keeps its memory a tenth below its limit as long
	// as it can.
	//
	// +optional
	Limits *ProxyQuantities `json:"limits,omitempty"`
}

// ProxyQuantities are amounts of resources, as Kubernetes writes them. One that is no quantity, or not above zero, is
// refused at admission.
type ProxyQuantities struct {
	// CPU is processors, such as 500m or 2.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).isGreaterThan(quantity('0'))",message="cpu must be above zero"
	CPU *resource.Quantity `json:"cpu,omitempty"`

	// Memory is bytes, such as 256Mi.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).isGreaterThan(quantity('0'))",message="memory must be above zero"
	Memory *resource.Quantity `json:"memory,omitempty"`
}

// ProxySpread spreads proxies evenly across the values of a label of nodes.
type ProxySpread struct {
	// TopologyKey is the label of nodes, such as topology.kubernetes.io/zone. Required.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	TopologyKey string `json:"topologyKey"`

	// MaxSkew is by how many proxies two values may differ, 1 to 1000. Another value is refused at admission. Default: 1.
	//
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxSkew int32 `json:"maxSkew,omitempty"`

	// WhenUnsatisfiable is what becomes of a proxy that would differ by more: ScheduleAnyway, it runs all the same, or
	// DoNotSchedule, it waits. Default: ScheduleAnyway. Another value is refused at admission.
	//
	// +optional
	// +kubebuilder:default=ScheduleAnyway
	// +kubebuilder:validation:Enum=ScheduleAnyway;DoNotSchedule
	WhenUnsatisfiable corev1.UnsatisfiableConstraintAction `json:"whenUnsatisfiable,omitempty"`
}

// ProxyService says how the proxies of a Gateway are reached.
type ProxyService struct {
	// Type is ClusterIP, an address inside the cluster, or LoadBalancer, one that the cluster's provider gives beside it, for
	// clients outside; their addresses are kept, so that they can be known by them. Default: ClusterIP. Another value is
	// refused at admission.
	//
	// +optional
	// +kubebuilder:default=ClusterIP
	Type ProxyServiceType `json:"type,omitempty"`
}

// ProxyServiceType is a type of Service.
//
// +kubebuilder:validation:Enum=ClusterIP;LoadBalancer
type ProxyServiceType string

// The types of Service that a Gateway may have.
const (
	// ProxyServiceClusterIP has an address inside the cluster.
	ProxyServiceClusterIP ProxyServiceType = "ClusterIP"
	// ProxyServiceLoadBalancer has an address that the cluster's provider gives, too.
	ProxyServiceLoadBalancer ProxyServiceType = "LoadBalancer"
)

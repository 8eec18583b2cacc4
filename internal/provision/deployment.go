package provision

import (
	"path"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
)

const (
	// replicas is how many proxies run unless GatewayParameters say so.
	replicas = 2
	// lame is how long a proxy that is to end still takes connections: until all nodes have heard that it ends.
	lame = 5 * time.Second
	// drain is how long exchanges may go on after that. It is the proxy's own default, and a bit.
	drain = 40 * time.Second
	// tokenLife is the shortest that Kubernetes has. The kubelet renews a token well before its end.
	tokenLife = 10 * time.Minute

	nobody  = 65532
	caKey   = "ca.crt"
	volume  = "controller"
	cpuAsk  = "100m"
	memory  = "96Mi"
	perHost = corev1.LabelHostname

	memoryLimit = "GOMEMLIMIT"
)

// deployment runs the proxies. Nothing in the Pods' template comes from a listener, so that a new one opens a socket and
// restarts nothing: the ports that a Pod names are for the reader, and any port may be listened on.
func (p *proxy) deployment() *appsv1.Deployment {
	none, surge := intstr.FromInt(0), intstr.FromString("25%")
	d := &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: p.meta(),
		Spec: appsv1.DeploymentSpec{
			Replicas: p.replicas(),
			Selector: &metav1.LabelSelector{MatchLabels: p.selector()},
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &none, MaxSurge: &surge},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: p.labels(), Annotations: p.annotations()},
				Spec:       p.pod(),
			},
		},
	}
	return d
}

// replicas are nil where the autoscaler decides.
func (p *proxy) replicas() *int32 {
	if p.deployed.Autoscaling != nil {
		return nil
	}
	if p.deployed.Replicas != nil {
		return new(*p.deployed.Replicas)
	}
	return new(int32(replicas))
}

// several reports whether there may be more than one proxy.
func (p *proxy) several() bool {
	if p.deployed.Autoscaling != nil {
		return p.deployed.Autoscaling.Max > 1
	}
	return *p.replicas() > 1
}

// Proxies is how many of a Gateway's Pods there may be at once: those of its Deployment while it rolls over. Parameters are
// those that it names, or nil.
func Proxies(parameters *v1alpha1.GatewayParameters) int {
	var p proxy
	if parameters != nil && parameters.Spec.Deployment != nil {
		p.deployed = *parameters.Spec.Deployment
	}
	most := int32(0)
	if p.deployed.Autoscaling != nil {
		most = p.deployed.Autoscaling.Max
	} else {
		most = *p.replicas()
	}
	return int(most + (most+3)/4) // the surge, rounded up
}

// pod is what the Pod security standard "restricted" asks for. Ports below 1024 are opened by a sysctl that the standard
// counts as safe, and by no privilege.
func (p *proxy) pod() corev1.PodSpec {
	grace := int64((lame + drain).Seconds())
	return corev1.PodSpec{
		ServiceAccountName:            p.name,
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		TerminationGracePeriodSeconds: &grace,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(nobody)), RunAsGroup: new(int64(nobody)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			Sysctls:        []corev1.Sysctl{{Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}},
		},
		Containers:                []corev1.Container{p.container()},
		Volumes:                   []corev1.Volume{p.volume()},
		NodeSelector:              p.deployed.NodeSelector,
		Tolerations:               p.deployed.Tolerations,
		Affinity:                  p.deployed.Affinity.DeepCopy(),
		TopologySpreadConstraints: p.spread(),
		PriorityClassName:         p.deployed.PriorityClass,
	}
}

func command() []string { return []string{proxyName} }

func (p *proxy) arguments() []string {
	return []string{"--gateway", p.gateway.Namespace + "/" + p.gateway.Name, "--controller", p.config.Controller}
}

func (p *proxy) container() corev1.Container {
	ask := func(path string) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt(plan.HealthPort), Scheme: corev1.URISchemeHTTP}}
	}
	c := corev1.Container{
		Name:    "proxy",
		Image:   p.config.Image,
		Command: command(),
		Args:    p.arguments(),
		Ports:   []corev1.ContainerPort{{Name: "health", ContainerPort: plan.HealthPort, Protocol: corev1.ProtocolTCP}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		Resources:      resources(p.deployed.Resources),
		LivenessProbe:  &corev1.Probe{ProbeHandler: ask("/healthz"), PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 3},
		ReadinessProbe: &corev1.Probe{ProbeHandler: ask("/readyz"), PeriodSeconds: 5, TimeoutSeconds: 5, FailureThreshold: 2},
		Lifecycle:      &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: int64(lame.Seconds())}}},
		VolumeMounts:   []corev1.VolumeMount{{Name: volume, MountPath: plan.TrustFolder, ReadOnly: true}},
	}
	// The runtime sees the limit of its CPU by itself; that of its memory it must be told.
	if limit, ok := c.Resources.Limits[corev1.ResourceMemory]; ok {
		c.Env = []corev1.EnvVar{{Name: memoryLimit, Value: strconv.FormatInt(limit.Value()/10*9, 10)}}
	}
	return c
}

// volume has what proves proxy and controller to each other.
func (p *proxy) volume() corev1.Volume {
	life := int64(tokenLife.Seconds())
	return corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: plan.TokenAudience, ExpirationSeconds: &life, Path: path.Base(plan.TokenFile)}},
		{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: p.name}, Items: []corev1.KeyToPath{{Key: caKey, Path: path.Base(plan.CAFile)}},
		}},
	}}}}
}

// resources always ask for CPU, since an autoscaler counts in percent of it.
func resources(r *v1alpha1.ProxyResources) corev1.ResourceRequirements {
	var requests, limits v1alpha1.ProxyQuantities
	if r != nil && r.Requests != nil {
		requests = *r.Requests
	}
	if r != nil && r.Limits != nil {
		limits = *r.Limits
	}
	made := corev1.ResourceRequirements{Requests: corev1.ResourceList{}}
	set := func(name corev1.ResourceName, request, limit *resource.Quantity, otherwise resource.Quantity) {
		if limit != nil {
			if made.Limits == nil {
				made.Limits = corev1.ResourceList{}
			}
			made.Limits[name] = *limit
			if limit.Cmp(otherwise) < 0 {
				otherwise = *limit
			}
		}
		if request != nil {
			otherwise = *request
		}
		made.Requests[name] = otherwise
	}
	set(corev1.ResourceCPU, requests.CPU, limits.CPU, resource.MustParse(cpuAsk))
	set(corev1.ResourceMemory, requests.Memory, limits.Memory, resource.MustParse(memory))
	return made
}

// spread keeps the proxies of one rollout apart.
func (p *proxy) spread() []corev1.TopologySpreadConstraint {
	written := p.deployed.TopologySpread
	if len(written) == 0 {
		written = []v1alpha1.ProxySpread{{TopologyKey: perHost, MaxSkew: 1, WhenUnsatisfiable: corev1.ScheduleAnyway}}
	}
	var made []corev1.TopologySpreadConstraint
	for _, s := range written {
		made = append(made, corev1.TopologySpreadConstraint{
			MaxSkew: s.MaxSkew, TopologyKey: s.TopologyKey, WhenUnsatisfiable: s.WhenUnsatisfiable,
			LabelSelector:  &metav1.LabelSelector{MatchLabels: p.selector()},
			MatchLabelKeys: []string{appsv1.DefaultDeploymentUniqueLabelKey},
		})
	}
	return made
}

// autoscaler chooses the number of proxies.
func (p *proxy) autoscaler() *autoscalingv2.HorizontalPodAutoscaler {
	a := p.deployed.Autoscaling
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta: metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"}, ObjectMeta: p.meta(),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: p.name},
			MinReplicas:    &a.Min, MaxReplicas: a.Max,
			Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &a.CPU},
			}}},
		},
	}
}

// budget lets nodes be emptied one proxy at a time, and of proxies that are not ready any number.
func (p *proxy) budget() *policyv1.PodDisruptionBudget {
	one, always := intstr.FromInt(1), policyv1.AlwaysAllow
	return &policyv1.PodDisruptionBudget{
		TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}, ObjectMeta: p.meta(),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: &one, Selector: &metav1.LabelSelector{MatchLabels: p.selector()}, UnhealthyPodEvictionPolicy: &always,
		},
	}
}

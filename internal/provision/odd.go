package provision

import (
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// Odd says in what a Pod differs from a Gateway's proxies; empty where in nothing that counts. What counts is that nobody but
// the proxy reads what the Pod is given, its token first of all, and that the proxy shows that to the controller alone: what
// runs, what it is told, what it believes, and where names lead it. The image may be another version, as it is while
// Deployments roll.
func Odd(pod *corev1.Pod, g *gwapiv1.Gateway, c Config) string {
	p := proxy{gateway: g, config: c, name: Name(g)}
	s := &pod.Spec
	switch {
	case len(s.Containers) != 1 || len(s.InitContainers)+len(s.EphemeralContainers) > 0:
		return "it has other containers beside the proxy"
	case s.ServiceAccountName != p.name:
		return "its ServiceAccount is another"
	case s.HostNetwork || s.HostPID || s.HostIPC || s.ShareProcessNamespace != nil && *s.ShareProcessNamespace:
		return "it shares namespaces of its node"
	case len(s.HostAliases) > 0 || s.DNSConfig != nil && len(s.DNSConfig.Nameservers)+len(s.DNSConfig.Searches) > 0:
		return "it has names of its own"
	case len(s.Volumes) != 1 || s.Volumes[0].Projected == nil || !reflect.DeepEqual(sources(s.Volumes[0]), sources(p.volume())):
		return "its volumes are others"
	}
	if why := p.odd(&s.Containers[0]); why != "" {
		return why
	}
	if edited(pod) && !first(pod, repository(c.Image)) {
		return "it was changed after it was made, and may have run something else (delete it: its successor is admitted)"
	}
	return ""
}

func (p *proxy) odd(c *corev1.Container) string {
	switch {
	case repository(c.Image) != repository(p.config.Image):
		return "its image is no version of " + repository(p.config.Image)
	case !slices.Equal(c.Command, command()):
		return "its command is another"
	case !slices.Equal(c.Args, p.arguments()):
		return "its arguments are others"
	case executes(c):
		return "it has a command beside the proxy's"
	case c.SecurityContext == nil || c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged:
		return "it is privileged"
	case len(c.EnvFrom) > 0 || slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name != memoryLimit }):
		return "its environment is another"
	case len(c.VolumeMounts) != 1 || c.VolumeMounts[0].MountPath != plan.TrustFolder || len(c.VolumeDevices) > 0:
		return "its volumes are mounted elsewhere"
	}
	return ""
}

// sources are what a volume is made of, save how long its token lasts.
func sources(v corev1.Volume) []corev1.VolumeProjection {
	list := v.Projected.DeepCopy().Sources
	for _, s := range list {
		if s.ServiceAccountToken != nil {
			s.ServiceAccountToken.ExpirationSeconds = nil
		}
	}
	return list
}

// executes reports whether the kubelet is to run something in a container: the proxy itself would do, told another controller.
func executes(c *corev1.Container) bool {
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if probe != nil && probe.Exec != nil {
			return true
		}
	}
	l := c.Lifecycle
	return l != nil && (l.PostStart != nil && l.PostStart.Exec != nil || l.PreStop != nil && l.PreStop.Exec != nil)
}

// edited reports whether a Pod's spec is known to be another than it was made with, which may well be its image: API servers
// count that from Kubernetes 1.33 on, and a deletion too.
func edited(pod *corev1.Pod) bool {
	made := int64(1)
	if pod.DeletionTimestamp != nil {
		made++
	}
	return pod.Generation > made
}

// first reports whether the kubelet has run one container only, of an image of that name.
func first(pod *corev1.Pod, image string) bool {
	list := pod.Status.ContainerStatuses
	return len(list) == 1 && list[0].RestartCount == 0 && repository(list[0].Image) == image
}

// repository is an image's name without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	return image
}

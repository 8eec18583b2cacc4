package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/provision"
)

// What the API server says beside the name of a ServiceAccount, of a token that is bound to a Pod.
const (
	podNameKey = "authentication.kubernetes.io/pod-name"
	podUIDKey  = "authentication.kubernetes.io/pod-uid"
)

// admission decides which Gateway the bearer of a token is a proxy of.
type admission struct {
	client kubernetes.Interface
	proxy  provision.Config
	ours   func(namespace, name string, uid types.UID) bool // whether proxies of a Gateway are to run
}

// authenticate admits the Pods that Kubernetes made of our own Deployments. A token must be of the controllers' audience
// and bound to a Pod; the Pod must descend from a Gateway of ours; and it must be as we have it, since whoever may create
// Pods may also write into them whose they are.
func (a *admission) authenticate(ctx context.Context, token string) (gateway string, err error) {
	review, err := a.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{plan.TokenAudience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("review a token: %w", err)
	}
	if !review.Status.Authenticated || !slices.Contains(review.Status.Audiences, plan.TokenAudience) {
		return "", errors.New("the API server does not know the token")
	}
	user := review.Status.User
	account, ok := strings.CutPrefix(user.Username, "system:serviceaccount:")
	namespace, name, _ := strings.Cut(account, ":")
	podName, podUID := user.Extra[podNameKey], user.Extra[podUIDKey]
	if !ok || len(podName) != 1 || len(podUID) != 1 {
		return "", fmt.Errorf("the token of %s is bound to no Pod", user.Username)
	}
	pod, err := a.client.CoreV1().Pods(namespace).Get(ctx, podName[0], metav1.GetOptions{})
	switch {
	case err != nil:
		return "", fmt.Errorf("look at a proxy's Pod: %w", err)
	case string(pod.UID) != podUID[0]:
		return "", fmt.Errorf("the token is of a former Pod %s/%s", namespace, pod.Name)
	}
	owner, err := a.gateway(ctx, pod)
	if err != nil {
		return "", fmt.Errorf("pod %s/%s: %w", namespace, pod.Name, err)
	}
	if why := a.odd(&pod.Spec, namespace+"/"+owner, name); why != "" {
		return "", fmt.Errorf("pod %s/%s is not as the controller has proxies of the Gateway %s: %s", namespace, pod.Name, owner, why)
	}
	return namespace + "/" + owner, nil
}

// gateway is the one that a Pod descends from.
func (a *admission) gateway(ctx context.Context, pod *corev1.Pod) (string, error) {
	set, err := owner(pod, "apps/v1", "ReplicaSet")
	if err != nil {
		return "", err
	}
	s, err := a.client.AppsV1().ReplicaSets(pod.Namespace).Get(ctx, set.Name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("look at its ReplicaSet: %w", err)
	}
	deployment, err := owner(s, "apps/v1", "Deployment")
	if err != nil || s.UID != set.UID {
		return "", errors.Join(errors.New("its ReplicaSet is of no Deployment of ours"), err)
	}
	d, err := a.client.AppsV1().Deployments(pod.Namespace).Get(ctx, deployment.Name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("look at its Deployment: %w", err)
	}
	g, err := owner(d, "gateway.networking.k8s.io/v1", "Gateway")
	if err != nil || d.UID != deployment.UID || !a.ours(pod.Namespace, g.Name, g.UID) {
		return "", errors.Join(errors.New("its Deployment is of no Gateway of ours"), err)
	}
	return g.Name, nil
}

// owner is the controller of an object, where it is of the kind that it must be.
func owner(o metav1.Object, version, kind string) (*metav1.OwnerReference, error) {
	r := metav1.GetControllerOf(o)
	if r == nil || r.APIVersion != version || r.Kind != kind {
		return nil, fmt.Errorf("%s belongs to no %s", o.GetName(), kind)
	}
	return r, nil
}

// odd says in what a Pod differs from those that we have: in what it runs, what it sees of the proxy, and what the proxy
// is told. The image may be another version, as it is while Deployments roll.
func (a *admission) odd(s *corev1.PodSpec, gateway, account string) string {
	if len(s.Containers) != 1 || len(s.InitContainers)+len(s.EphemeralContainers) > 0 {
		return "it has other containers beside the proxy"
	}
	c := s.Containers[0]
	switch {
	case s.ServiceAccountName != account:
		return "its ServiceAccount is another"
	case s.HostNetwork || s.HostPID || s.HostIPC || s.ShareProcessNamespace != nil && *s.ShareProcessNamespace:
		return "it shares namespaces of its node"
	case repository(c.Image) != repository(a.proxy.Image):
		return "its image is no version of " + repository(a.proxy.Image)
	case !slices.Equal(c.Command, provision.Command()):
		return "its command is another"
	case len(c.Args) != 4 || c.Args[0] != "--gateway" || c.Args[1] != gateway || c.Args[2] != "--controller":
		return "its arguments are others"
	case c.SecurityContext == nil || c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged:
		return "it is privileged"
	case len(c.EnvFrom) > 0 || slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name != "GOMEMLIMIT" }):
		return "its environment is another"
	case len(s.Volumes) != 1 || s.Volumes[0].Projected == nil || len(c.VolumeMounts) != 1 || len(c.VolumeDevices) > 0:
		return "its volumes are others"
	}
	return ""
}

// repository is an image's name without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	return image
}

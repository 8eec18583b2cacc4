package controller

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/provision"
)

// What the API server says beside the name of a ServiceAccount, of a token that is bound to a Pod.
const (
	podNameKey = "authentication.kubernetes.io/pod-name"
	podUIDKey  = "authentication.kubernetes.io/pod-uid"
)

const (
	judgedFor = 10 * time.Second // a token counts as it was judged: a proxy shows it for each of its streams at once
	maxJudged = 1024
)

// admission decides which Gateway the bearer of a token is a proxy of.
type admission struct {
	client kubernetes.Interface
	proxy  provision.Config
	ours   func(namespace, name string, uid types.UID) *gwapiv1.Gateway // whose proxies are to run; else nil

	refused func(gateway, why string) // told of a Pod of a Gateway's, as namespace/name, that is not as it should be

	mu     sync.Mutex
	judged map[[sha256.Size]byte]*judgement // by the token's digest
}

// judgement is of one token. Its fields but done are set once done is closed.
type judgement struct {
	done    chan struct{}
	until   time.Time
	gateway string
	err     error
}

// authenticate judges a token, or says what it was judged to be a moment ago. One that was refused is judged anew.
func (a *admission) authenticate(ctx context.Context, token string) (gateway string, err error) {
	sum := sha256.Sum256([]byte(token))
	for {
		j, mine := a.judgement(sum)
		if mine {
			j.gateway, j.err = a.judge(ctx, token)
			j.until = time.Now().Add(judgedFor)
			a.settle(sum, j)
			return j.gateway, j.err
		}
		select {
		case <-j.done:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if j.err == nil {
			return j.gateway, nil
		}
	}
}

// judgement is what is known of a token, or about to be; mine says that it is the caller's to settle.
func (a *admission) judgement(sum [sha256.Size]byte) (j *judgement, mine bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if j = a.judged[sum]; j != nil {
		select {
		case <-j.done:
			mine = !time.Now().Before(j.until)
		default:
		}
		if !mine {
			return j, false
		}
	}
	if a.judged == nil || len(a.judged) >= maxJudged {
		a.judged = map[[sha256.Size]byte]*judgement{}
	}
	j = &judgement{done: make(chan struct{})}
	a.judged[sum] = j
	return j, true
}

func (a *admission) settle(sum [sha256.Size]byte, j *judgement) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if j.err != nil && a.judged[sum] == j {
		delete(a.judged, sum)
	}
	close(j.done)
}

// judge admits the Pods that Kubernetes made of our own Deployments. A token must be of the controllers' audience
// and bound to a Pod; the Pod must descend from a Gateway of ours; and it must be as we have it, since whoever may create
// Pods may also write into them whose they are.
func (a *admission) judge(ctx context.Context, token string) (gateway string, err error) {
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
	why := provision.Odd(pod, owner, a.proxy)
	if why == "" && name != pod.Spec.ServiceAccountName {
		why = "the token is another ServiceAccount's"
	}
	if why != "" {
		a.refused(namespace+"/"+owner.Name, "Pod "+pod.Name+" is refused: "+why)
		return "", fmt.Errorf("pod %s/%s is not as the controller has proxies of the Gateway %s: %s", namespace, pod.Name, owner.Name, why)
	}
	return namespace + "/" + owner.Name, nil
}

// gateway is the one that a Pod descends from.
func (a *admission) gateway(ctx context.Context, pod *corev1.Pod) (*gwapiv1.Gateway, error) {
	set, err := owner(pod, "apps/v1", "ReplicaSet")
	if err != nil {
		return nil, err
	}
	s, err := a.client.AppsV1().ReplicaSets(pod.Namespace).Get(ctx, set.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("look at its ReplicaSet: %w", err)
	}
	deployment, err := owner(s, "apps/v1", "Deployment")
	if err != nil || s.UID != set.UID {
		return nil, errors.Join(errors.New("its ReplicaSet is of no Deployment of ours"), err)
	}
	d, err := a.client.AppsV1().Deployments(pod.Namespace).Get(ctx, deployment.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("look at its Deployment: %w", err)
	}
	g, err := owner(d, "gateway.networking.k8s.io/v1", "Gateway")
	if err == nil && d.UID == deployment.UID {
		if ours := a.ours(pod.Namespace, g.Name, g.UID); ours != nil {
			return ours, nil
		}
	}
	return nil, errors.Join(errors.New("its Deployment is of no Gateway of ours"), err)
}

// owner is the controller of an object, where it is of the kind that it must be.
func owner(o metav1.Object, version, kind string) (*metav1.OwnerReference, error) {
	r := metav1.GetControllerOf(o)
	if r == nil || r.APIVersion != version || r.Kind != kind {
		return nil, fmt.Errorf("%s belongs to no %s", o.GetName(), kind)
	}
	return r, nil
}

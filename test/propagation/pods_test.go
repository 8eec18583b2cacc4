package propagation

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ebbgate/ebbgate/internal/distribute"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/order"
	"github.com/ebbgate/ebbgate/internal/testkit/apiserver"
)

const podPage = `# What Pods cost

Written by ` + "`make propagation`" + `: a real API server and etcd, the real controller and a real proxy, each a process of its own, on one machine of %d cores
that all share. The Gateway knows its clients by their Pods, so that its proxies are told of every Pod of the cluster. Each Pod has an address, and each ten have a ReplicaSet.

| Pods | memory, controller | memory, proxy | CPU, controller | CPU, proxy |
|---|---|---|---|---|
| none | %d MiB | %d MiB | | |
| %d, as they are created | %d MiB | %d MiB | %s | %s |
| with %d further proxies connected at once | %d MiB | | %s | |
| another proxy, started among them | | %d MiB | | %s |

The proxy that was started among them knew all after %s.

| Pods that came in others' place, one after another | median | 99th percentile | slowest | CPU, controller | CPU, proxy |
|---|---|---|---|---|---|
| %d | %s | %s | %s | %s each | %s each |

The times are from the API server's answer that a Pod has its address to the moment at which a proxy is told of it. Memory is what is resident, with what Go's garbage collector has not given back.
`

const (
	perOwner  = 10
	followers = 29 // beside three: 32 are taken of a Gateway of this size
	writers   = 16
)

func podName(i int) string { return fmt.Sprintf("workload-%05d", i) }

func podAddress(i, version int) string {
	return netip.AddrFrom4([4]byte{10, byte(version), byte(i >> 8), byte(i)}).String()
}

// pod creates a Pod that a node has given an address to, and gives when the API server said so.
func (r *rig) pod(i, version int) time.Time {
	owner := r.owners[i/perOwner]
	api := r.typed.CoreV1().Pods(r.namespace)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", podName(i), version), Labels: map[string]string{"app": owner.Name}, OwnerReferences: []metav1.OwnerReference{owner}},
		Spec:       corev1.PodSpec{NodeName: fmt.Sprintf("node-%d", i/100), ServiceAccountName: "default", Containers: []corev1.Container{{Name: "main", Image: "example.com/workload:1"}}},
	}
	p, err := api.Create(context.Background(), p, metav1.CreateOptions{})
	if err != nil {
		r.t.Error(err)
		return time.Time{}
	}
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: podAddress(i, version), PodIPs: []corev1.PodIP{{IP: podAddress(i, version)}}}
	if _, err = api.UpdateStatus(context.Background(), p, metav1.UpdateOptions{}); err != nil {
		r.t.Error(err)
	}
	return time.Now()
}

// set creates a ReplicaSet, as whose Pods others are created.
func (r *rig) set(name string) metav1.OwnerReference {
	labels := map[string]string{"app": name}
	set, err := r.typed.AppsV1().ReplicaSets(r.namespace).Create(context.Background(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: "Deployment", Name: name, UID: "00000000-0000-0000-0000-000000000000", Controller: new(true)},
		}},
		Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/workload:1"}}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		r.t.Error(err)
		return metav1.OwnerReference{}
	}
	return *metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
}

// each does something so many times, several at once.
func each(count int, do func(i int)) {
	var all sync.WaitGroup
	next := make(chan int)
	for range writers {
		all.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	all.Wait()
}

// follower is what one proxy has been told of Pods.
type follower struct {
	mu    sync.Mutex
	known map[string]*plan.Workload
	news  chan struct{} // has an element where something changed
}

func (f *follower) heard(changed map[string]*plan.Workload, whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if whole {
		f.known = map[string]*plan.Workload{}
	}
	for name, w := range changed {
		if f.known[name] = w; w == nil {
			delete(f.known, name)
		}
	}
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// until waits until something holds of what it has been told, and gives the time.
func (f *follower) until(t *testing.T, holds func(known map[string]*plan.Workload) bool) time.Time {
	t.Helper()
	for late := time.After(patience); ; {
		f.mu.Lock()
		ok := holds(f.known)
		f.mu.Unlock()
		if ok {
			return time.Now()
		}
		select {
		case <-f.news:
		case <-late:
			t.Fatalf("it has been told of %d Pods", len(f.known))
		}
	}
}

// follow has a proxy's connection to the controller, without a proxy behind it, until the test ends.
func (r *rig) follow() *follower {
	r.t.Helper()
	f := &follower{news: make(chan struct{}, 1)}
	config := distribute.ClientConfig{
		Address: r.connect[1], ServerName: r.connect[3], CA: filepath.Join(r.folder, "ca.crt"), Token: filepath.Join(r.folder, "token"),
		Configs: func(kind string) any {
			for _, k := range order.Kinds() {
				if k.Name == kind {
					return k.Config()
				}
			}
			return nil
		},
		Update: func(context.Context, *plan.Plan) error { return nil }, Workloads: f.heard, Logger: slog.New(slog.DiscardHandler),
	}
	client, err := distribute.NewClient(config)
	must(r.t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	var running sync.WaitGroup
	running.Go(func() { client.Run(ctx) })
	r.t.Cleanup(func() { cancel(); running.Wait() })
	return f
}

func TestPods(t *testing.T) {
	server, err := apiserver.Start(t.Context()) // of its own: nobody else is to hear of these Pods
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	r := newRig(t, server)
	first := r.follow()
	all := func(known map[string]*plan.Workload) bool { return len(known) == *pods }
	addressed := func(known map[string]*plan.Workload) bool {
		for _, w := range known {
			if len(w.Addresses) == 0 {
				return false
			}
		}
		return all(known)
	}
	none := [2]cost{costOf(t, r.controller), costOf(t, r.proxy)}
	r.owners = make([]metav1.OwnerReference, (*pods+perOwner-1)/perOwner)
	each(len(r.owners), func(i int) { r.owners[i] = r.set(fmt.Sprintf("workload-%05d", i)) })
	each(*pods, func(i int) { r.pod(i, 0) })
	first.until(t, addressed)
	full := [2]cost{costOf(t, r.controller), costOf(t, r.proxy)}

	took := make([]time.Duration, *podChanges)
	for n := range took {
		i := n * 7919 % *pods
		old, version := fmt.Sprintf("%s-%d", podName(i), n/(*pods)), n/(*pods)+1
		must(t, r.typed.CoreV1().Pods(r.namespace).Delete(t.Context(), old, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
		answered := r.pod(i, version)
		name, address := fmt.Sprintf("Pod/%s/%s-%d", r.namespace, podName(i), version), netip.MustParseAddr(podAddress(i, version))
		took[n] = max(0, first.until(t, func(known map[string]*plan.Workload) bool {
			w := known[name]
			return w != nil && slices.Contains(w.Addresses, address)
		}).Sub(answered))
	}
	first.until(t, all)
	changed := [2]cost{costOf(t, r.controller), costOf(t, r.proxy)}

	var many []*follower
	for range followers {
		many = append(many, r.follow())
	}
	for _, f := range many {
		f.until(t, all)
	}
	crowded := costOf(t, r.controller)
	begin := time.Now()
	other := r.start()
	other.Await(t, fmt.Sprintf("pods=%d", *pods))
	begun, late := time.Since(begin), costOf(t, other)

	slices.Sort(took)
	per := func(i int) string { return short((changed[i].cpu - full[i].cpu) / time.Duration(*podChanges)) }
	text := fmt.Sprintf(podPage, runtime.NumCPU(), none[0].memory, none[1].memory,
		*pods, full[0].memory, full[1].memory, short(full[0].cpu-none[0].cpu), short(full[1].cpu-none[1].cpu),
		followers, crowded.memory, short(crowded.cpu-changed[0].cpu), late.memory, short(late.cpu), begun.Round(time.Millisecond),
		*podChanges, short(took[len(took)/2]), short(took[len(took)*99/100]), short(took[len(took)-1]), per(0), per(1))
	if strings.Contains(text, "%!") {
		t.Error("the page is not whole")
	}
	t.Log(text)
	if *podReport != "" && !t.Failed() {
		must(t, os.WriteFile(*podReport, []byte(text), 0o600))
	}
}

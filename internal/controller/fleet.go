package controller

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/provision"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate"
)

const (
	appliers   = 4
	mendsSelf  = 30 * time.Second // before what a user has to mend is tried again: it may have mended itself
	firstRetry = 100 * time.Millisecond
	lastRetry  = time.Minute
	longest    = 2000 // bytes of what a status says, of which the API server's own words may be most
)

// fleets run the proxies of Gateways, and tell what runs.
type fleets struct {
	config  provision.Config
	domain  string // the cluster's, of the names of Services
	client  kubernetes.Interface
	logger  *slog.Logger
	changed func() // a fact has

	mu     sync.Mutex
	wanted map[string]gateway          // by plan.ObjectName
	facts  map[string]*translate.Fleet // likewise
	queue  workqueue.TypedRateLimitingInterface[string]
	known  map[string]cache.SharedIndexInformer // by kind
}

// gateway is one that is to run, or, where it is not ours, one that is another's by now.
type gateway struct {
	object     *gwapiv1.Gateway
	parameters *v1alpha1.GatewayParameters
	ours       bool
}

func newFleets(c provision.Config, domain string, client kubernetes.Interface, logger *slog.Logger, changed func()) *fleets {
	return &fleets{
		config: c, domain: domain, client: client, logger: logger, changed: changed,
		wanted: map[string]gateway{}, facts: map[string]*translate.Fleet{},
	}
}

// set says which Gateways there are: those of the plan are to run.
func (f *fleets) set(s *source.Snapshot, served []*plan.Gateway) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted := map[string]gateway{}
	for _, p := range served {
		key := "Gateway/" + p.Name
		object, ok := s.Objects[key].(*gwapiv1.Gateway)
		if !ok {
			continue
		}
		g := gateway{object: object, ours: true}
		if i := object.Spec.Infrastructure; i != nil && i.ParametersRef != nil {
			g.parameters, _ = s.Objects[plan.ObjectName("GatewayParameters", object.Namespace, i.ParametersRef.Name)].(*v1alpha1.GatewayParameters)
		}
		wanted[key] = g
	}
	for key := range f.wanted {
		if _, still := wanted[key]; still {
			continue
		}
		if object, there := s.Objects[key].(*gwapiv1.Gateway); there { // by now another's: nothing of ours is to run of it
			wanted[key] = gateway{object: object}
		} else {
			delete(f.facts, key)
		}
	}
	for key, g := range wanted {
		if f.queue != nil && f.wanted[key] != g {
			f.queue.Add(key)
		}
	}
	f.wanted = wanted
}

// observed is what runs of each Gateway.
func (f *fleets) observed() map[string]*translate.Fleet {
	f.mu.Lock()
	defer f.mu.Unlock()
	facts := make(map[string]*translate.Fleet, len(f.facts))
	for key, fact := range f.facts {
		if f.wanted[key].ours {
			facts[key] = fact
		}
	}
	return facts
}

// run has Gateways run until ctx ends. It may run again, and once at a time.
func (f *fleets) run(ctx context.Context) {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry))
	factory := informers.NewSharedInformerFactoryWithOptions(f.client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.LabelSelector = provision.Selector().String()
	}))
	known := map[string]cache.SharedIndexInformer{
		"ServiceAccount": factory.Core().V1().ServiceAccounts().Informer(), "ConfigMap": factory.Core().V1().ConfigMaps().Informer(),
		"Service": factory.Core().V1().Services().Informer(), "Deployment": factory.Apps().V1().Deployments().Informer(),
		"HorizontalPodAutoscaler": factory.Autoscaling().V2().HorizontalPodAutoscalers().Informer(),
		"PodDisruptionBudget":     factory.Policy().V1().PodDisruptionBudgets().Informer(),
	}
	touched := func(object any) {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		if o, ok := object.(metav1.Object); ok {
			if owner := metav1.GetControllerOf(o); owner != nil && owner.Kind == "Gateway" {
				queue.Add(plan.ObjectName("Gateway", o.GetNamespace(), owner.Name))
			}
		}
	}
	for _, informer := range known {
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // it refuses what has been stopped alone
			AddFunc: touched, UpdateFunc: func(_, object any) { touched(object) }, DeleteFunc: touched,
		})
	}
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	factory.WaitForCacheSyncWithContext(ctx)
	f.begin(queue, known)
	applier := provision.NewApplier(provision.Cluster{Client: f.client, Known: f.list})
	var all sync.WaitGroup
	for range appliers {
		all.Go(func() {
			for {
				key, over := queue.Get()
				if over {
					return
				}
				f.try(ctx, applier, queue, key)
				queue.Done(key)
			}
		})
	}
	<-ctx.Done()
	f.begin(nil, nil)
	queue.ShutDown()
	all.Wait()
}

// begin has work queued from here on, and all that is wanted at once.
func (f *fleets) begin(queue workqueue.TypedRateLimitingInterface[string], known map[string]cache.SharedIndexInformer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue, f.known = queue, known
	for key := range f.wanted {
		if queue != nil {
			queue.Add(key)
		}
	}
}

// list is what is known of a kind in a namespace.
func (f *fleets) list(kind, namespace string) (objects []provision.Object) {
	f.mu.Lock()
	informer := f.known[kind]
	f.mu.Unlock()
	if informer == nil {
		return nil
	}
	inside, _ := informer.GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
	for _, held := range inside {
		if o, ok := held.(provision.Object); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

func (f *fleets) try(ctx context.Context, applier *provision.Applier, queue workqueue.TypedRateLimitingInterface[string], key string) {
	f.mu.Lock()
	g := f.wanted[key]
	f.mu.Unlock()
	if g.object == nil || ctx.Err() != nil {
		return
	}
	var objects []provision.Object
	var problems []problem.Problem
	if g.ours {
		objects, problems = provision.Objects(g.object, g.parameters, f.config)
	}
	applied, err := applier.Apply(ctx, g.object, objects)
	if err != nil && ctx.Err() == nil {
		f.logger.Error("run a Gateway", "gateway", key, "error", err)
		queue.AddRateLimited(key)
		problems = append(problems, problem.Problem{Message: "it cannot be run yet: " + err.Error()})
	} else {
		queue.Forget(key)
	}
	applied.Problems = append(problems, applied.Problems...)
	if len(applied.Problems) > 0 {
		queue.AddAfter(key, mendsSelf)
	}
	f.learn(key, g, applied)
}

// learn tells what runs of a Gateway, where that has changed.
func (f *fleets) learn(key string, g gateway, applied provision.Applied) {
	addresses, problems := provision.Addresses(g.object, applied.Service, f.domain)
	fact := &translate.Fleet{Addresses: addresses, Message: f.readiness(key)}
	if why := words(append(applied.Problems, problems...)); why != "" {
		fact.Message = why
	}
	f.mu.Lock()
	changed := !reflect.DeepEqual(f.facts[key], fact)
	f.facts[key] = fact
	f.mu.Unlock()
	if changed {
		f.changed()
	}
}

// readiness says how many proxies are ready. That they serve what is configured is for the proxies to say.
func (f *fleets) readiness(key string) string {
	namespace := strings.Split(key, "/")[1]
	for _, o := range f.list("Deployment", namespace) {
		d, ok := o.(*appsv1.Deployment)
		if owner := metav1.GetControllerOf(o); ok && owner != nil && plan.ObjectName("Gateway", namespace, owner.Name) == key {
			if d.Status.ReadyReplicas == 0 {
				return "no proxy is ready"
			}
			return fmt.Sprintf("%d proxies are ready, and none has said that it has taken the configuration", d.Status.ReadyReplicas)
		}
	}
	return "no proxy is ready"
}

// words are the messages of problems, each once.
func words(problems []problem.Problem) string {
	var texts []string
	for _, p := range problems {
		text := strings.TrimPrefix(p.Field+": "+p.Message, ": ")
		if p.Mend != "" {
			text += " (" + p.Mend + ")"
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	text := strings.Join(texts, "; ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

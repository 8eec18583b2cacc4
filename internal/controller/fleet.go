package controller

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/distribute"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/provision"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

const (
	appliers     = 4
	gathers      = 200 * time.Millisecond // of what happens to a Gateway's objects
	mendsSelf    = 30 * time.Second       // before what a user has to mend is tried again: it may have mended itself
	lenience     = 15 * time.Second       // with proxies that had all, as between two of their connections
	refusalStays = time.Minute            // before a later refusal takes its place
	firstRetry   = 100 * time.Millisecond
	lastRetry    = time.Minute
	fewest       = 32   // proxies that may be connected of any Gateway: some end while others begin
	longest      = 2000 // bytes of what a status says, of which the API server's own words may be most
)

// fleets run the proxies of Gateways, and tell what runs.
type fleets struct {
	config       provision.Config
	domain       string // the cluster's, of the names of Services
	client       kubernetes.Interface
	logger       *slog.Logger
	acknowledged func(gateway string) distribute.Acknowledgement
	changed      func() // a fact has

	mu        sync.Mutex
	wanted    map[string]gateway          // by the key of the Gateway's object
	facts     map[string]*translate.Fleet // likewise, of what has been brought
	applied   map[string]provision.Applied
	standings map[string]standing
	refusals  map[string]refusal // until the Gateway's proxies serve it whole
	queue     workqueue.TypedRateLimitingInterface[string]
	known     map[string]cache.SharedIndexInformer // by kind
}

// gateway is one that is to run, or one of which nothing of ours is to run. One of ours that cannot be accepted is held: what
// runs of it stays, with its addresses, and is told to serve nothing.
type gateway struct {
	object     *gwapiv1.Gateway
	parameters *v1alpha1.GatewayParameters
	ours, held bool
}

// standing is whether proxies have served a generation of a Gateway whole, and since when they do no longer.
type standing struct {
	generation int64
	ceased     time.Time
}

// refusal is why a Pod of a Gateway's is told nothing.
type refusal struct {
	why string
	at  time.Time
}

func newFleets(c provision.Config, domain string, client kubernetes.Interface, logger *slog.Logger) *fleets {
	return &fleets{
		config: c, domain: domain, client: client, logger: logger,
		wanted: map[string]gateway{}, facts: map[string]*translate.Fleet{}, applied: map[string]provision.Applied{}, standings: map[string]standing{}, refusals: map[string]refusal{},
	}
}

// trust says what proxies are to believe the controller by.
func (f *fleets) trust(bundle []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !bytes.Equal(f.config.CA, bundle) {
		f.config.CA = bundle
		f.all()
	}
}

// ours is a Gateway that is to have proxies; nil where there is none.
func (f *fleets) ours(namespace, name string, uid types.UID) *gwapiv1.Gateway {
	f.mu.Lock()
	defer f.mu.Unlock()
	if g := f.wanted[plan.ObjectName("Gateway", namespace, name)]; g.ours && g.object.UID == uid {
		return g.object
	}
	return nil
}

// proxies is how many of a Gateway, as namespace/name, may be connected at once: twice those of its Deployment, since the ones
// that end are connected still, and so is a proxy's last connection for a moment; 0 where it is not known.
func (f *fleets) proxies(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.wanted["Gateway/"+name]
	if !g.ours || g.held {
		return 0
	}
	return max(fewest, 2*provision.Proxies(g.parameters))
}

// set says which Gateways there are: those of the plan are to run, each as its parameters under its class's ceiling say.
func (f *fleets) set(s *source.Snapshot, served []*plan.Gateway, parameters func(gateway string) *v1alpha1.GatewayParameters) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted := map[string]gateway{}
	for _, p := range served {
		key := "Gateway/" + p.Name
		object, ok := s.Objects[key].(*gwapiv1.Gateway)
		if !ok {
			continue
		}
		g := gateway{object: object, parameters: parameters(key), ours: true}
		if last := f.wanted[key]; reflect.DeepEqual(last.parameters, g.parameters) { // judged anew, and the same
			g.parameters = last.parameters
		}
		wanted[key] = g
	}
	for key, o := range s.Objects {
		object, ok := o.(*gwapiv1.Gateway)
		if _, runs := wanted[key]; !ok || runs {
			continue
		}
		foreign := false
		if class, there := s.Objects["GatewayClass//"+string(object.Spec.GatewayClassName)].(*gwapiv1.GatewayClass); there {
			foreign = class.Spec.ControllerName != attach.Controller
		}
		wanted[key] = gateway{object: object, ours: !foreign, held: !foreign}
	}
	for key := range f.facts {
		if !wanted[key].ours {
			delete(f.facts, key)
		}
	}
	for key := range f.wanted {
		if !wanted[key].ours {
			delete(f.applied, key)
			delete(f.standings, key)
			delete(f.refusals, key)
		}
	}
	for key, g := range wanted {
		if last := f.wanted[key].object; last != nil && last.UID != g.object.UID { // deleted, and made anew, meanwhile
			delete(f.facts, key)
			delete(f.applied, key)
			delete(f.standings, key)
			delete(f.refusals, key)
		}
		if f.queue != nil && f.wanted[key] != g {
			f.queue.Add(key)
		}
	}
	f.wanted = wanted
}

// observed is what runs of each Gateway: what is known, or what its status says until it is, as it is at a start and while
// another replica leads.
func (f *fleets) observed(s *source.Snapshot) map[string]*translate.Fleet {
	f.mu.Lock()
	defer f.mu.Unlock()
	facts := map[string]*translate.Fleet{}
	for key, o := range s.Objects {
		object, ok := o.(*gwapiv1.Gateway)
		if !ok {
			continue
		}
		if fact := f.facts[key]; fact != nil && f.wanted[key].ours {
			facts[key] = fact
		} else if c := programmed(object); c != nil {
			facts[key] = &translate.Fleet{Addresses: object.Status.Addresses, Programmed: c.Status == metav1.ConditionTrue, Message: c.Message, Reason: c.Reason}
		}
	}
	return facts
}

// programmed is what the status of a Gateway says of its present generation; nil where it says nothing of what runs.
func programmed(g *gwapiv1.Gateway) *metav1.Condition {
	c := meta.FindStatusCondition(g.Status.Conditions, string(gwapiv1.GatewayConditionProgrammed))
	if c == nil || c.ObservedGeneration != g.Generation {
		return nil
	}
	switch gwapiv1.GatewayConditionReason(c.Reason) {
	case gwapiv1.GatewayReasonProgrammed, gwapiv1.GatewayReasonPending, gwapiv1.GatewayReasonAddressNotUsable, gwapiv1.GatewayReasonAddressNotAssigned:
		return c
	}
	return nil
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
	touched := func(object any) { touch(queue, object) }
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
	f.forget()
}

// touch queues the Gateway that an object is of. What happens to its objects is gathered: whoever changes them again and
// again has them written as often as that, and takes no other Gateway's share of requests.
func touch(queue workqueue.TypedDelayingInterface[string], object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	if o, ok := object.(metav1.Object); ok {
		if owner := metav1.GetControllerOf(o); owner != nil && owner.Kind == "Gateway" {
			queue.AddAfter(plan.ObjectName("Gateway", o.GetNamespace(), owner.Name), gathers)
		}
	}
}

// forget leaves nothing known: it may be no longer so when this replica leads again.
func (f *fleets) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.facts)
	clear(f.applied)
	clear(f.standings)
	clear(f.refusals)
}

// begin has work queued from here on, and all that is wanted at once.
func (f *fleets) begin(queue workqueue.TypedRateLimitingInterface[string], known map[string]cache.SharedIndexInformer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue, f.known = queue, known
	f.all()
}

// all queues all that is wanted.
func (f *fleets) all() {
	for key := range f.wanted {
		if f.queue != nil {
			f.queue.Add(key)
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
	g, config := f.wanted[key], f.config
	f.mu.Unlock()
	if g.object == nil || g.held || ctx.Err() != nil {
		if name := strings.Split(key, "/"); g.object == nil {
			applier.Forget(name[1], name[2])
		}
		queue.Forget(key)
		return
	}
	var objects []provision.Object
	var problems []problem.Problem
	if g.ours {
		objects, problems = provision.Objects(g.object, g.parameters, config)
	}
	applied, err := applier.Apply(ctx, g.object, objects)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		f.logger.Error("run a Gateway", "gateway", key, "error", err)
		queue.AddRateLimited(key)
		problems = append(problems, problem.Problem{Message: "it cannot be run yet: " + err.Error()})
	} else {
		queue.Forget(key)
	}
	for _, what := range applied.Mended {
		f.logger.Warn("somebody had changed what runs of a Gateway, and it is brought back", "gateway", key, "object", what)
	}
	applied.Problems = append(problems, applied.Problems...)
	if len(applied.Problems) > 0 {
		queue.AddAfter(key, mendsSelf)
	}
	f.mu.Lock()
	if is := f.wanted[key]; is.ours && is.object.UID == g.object.UID {
		f.applied[key] = applied
	}
	f.mu.Unlock()
	if f.judge(key) {
		f.changed()
	}
}

// heard judges Gateways, as namespace/name, anew whose proxies have said something.
func (f *fleets) heard(gateways map[string]bool) {
	changed := false
	for name := range gateways {
		changed = f.judge("Gateway/"+name) || changed
	}
	if changed {
		f.changed()
	}
}

// refused notes why a Pod of a Gateway's, as namespace/name, is told nothing.
func (f *fleets) refused(gateway, why string) {
	key := "Gateway/" + gateway
	f.mu.Lock()
	if f.wanted[key].ours && time.Since(f.refusals[key].at) > refusalStays { // whoever is refused again and again has no status written as often
		f.refusals[key] = refusal{why, time.Now()}
	}
	f.mu.Unlock()
	if f.judge(key) {
		f.changed()
	}
}

// judge says what runs of a Gateway that has been brought, and whether that has changed.
func (f *fleets) judge(key string) (changed bool) {
	ready := f.ready(key)
	said := f.acknowledged(strings.TrimPrefix(key, "Gateway/"))
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.wanted[key]
	applied, brought := f.applied[key]
	if g.object == nil || f.queue == nil || !brought {
		return false
	}
	addresses, problems := provision.Addresses(g.object, applied.Service, f.domain)
	problems = append(slices.Clip(applied.Problems), problems...)
	fact := &translate.Fleet{Addresses: addresses, Message: words(problems), Reason: reason(problems)}
	certain := fact.Message != ""
	switch {
	case certain:
	case len(said.Rejections) > 0:
		fact.Message, certain = rejected(said.Rejections), true
	case ready == 0:
		fact.Message = fmt.Sprintf("no proxy is ready (see the Pods of Deployment %s/%s, their events and logs)", g.object.Namespace, provision.Name(g.object))
	case said.Connected < ready || said.Acknowledged < said.Connected:
		fact.Message = fmt.Sprintf("of %d ready proxies %d have taken the configuration", ready, min(said.Acknowledged, ready))
	}
	if fact.Message == "" {
		delete(f.refusals, key)
	} else if r, told := f.refusals[key]; told {
		fact.Message += "; " + r.why
	}
	fact.Programmed = f.stands(key, g.object, fact.Message == "", certain)
	if fact.Programmed {
		fact.Message = ""
	}
	changed = !reflect.DeepEqual(f.facts[key], fact)
	f.facts[key] = fact
	return changed
}

// stands reports whether a Gateway counts as programmed: while proxies serve it whole, and for a moment afterwards, in which
// a proxy connects again or takes what is new; unless it is certain that they do not. What has changed of the Gateway itself
// counts once it is served.
func (f *fleets) stands(key string, g *gwapiv1.Gateway, whole, certain bool) bool {
	is, held := f.standings[key]
	if c := programmed(g); !held && c != nil && c.Status == metav1.ConditionTrue {
		is, held = standing{generation: g.Generation}, true // as whoever led before saw it
	}
	switch {
	case whole:
		f.standings[key] = standing{generation: g.Generation}
		return true
	case held && !certain && is.generation == g.Generation:
		if is.ceased.IsZero() {
			is.ceased = time.Now()
		}
		f.standings[key] = is
		if left := lenience - time.Since(is.ceased); left > 0 {
			f.queue.AddAfter(key, left+time.Millisecond)
			return true
		}
	}
	f.standings[key] = standing{generation: -1}
	return false
}

// rejected are the words for what proxies could not take.
func rejected(list []distribute.Rejection) string {
	var problems []problem.Problem
	for _, r := range list {
		problems = append(problems, problem.Problem{Field: r.Resource, Message: r.Message})
	}
	return "proxies could not take all of the configuration: " + words(problems)
}

// ready is how many proxies of a Gateway Kubernetes counts as ready.
func (f *fleets) ready(key string) int {
	namespace := strings.Split(key, "/")[1]
	for _, o := range f.list("Deployment", namespace) {
		d, ok := o.(*appsv1.Deployment)
		if owner := metav1.GetControllerOf(o); ok && owner != nil && plan.ObjectName("Gateway", namespace, owner.Name) == key {
			return int(d.Status.ReadyReplicas)
		}
	}
	return 0
}

// reason is what Gateway API calls that which keeps a Gateway from its addresses; empty where it is something else.
func reason(problems []problem.Problem) string {
	for _, r := range []gwapiv1.GatewayConditionReason{gwapiv1.GatewayReasonAddressNotUsable, gwapiv1.GatewayReasonAddressNotAssigned} {
		if slices.ContainsFunc(problems, func(p problem.Problem) bool { return p.Reason == string(r) }) {
			return string(r)
		}
	}
	return ""
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

// Package pods delivers the Pods of a cluster as workloads: by which ServiceAccount and of which maker they run, and which
// addresses are theirs alone, as watches bring it. It says nothing of Pods that no node has, and nothing any more of those
// that have ended. Who may call as what, and which Service may lead where, others decide. The controller calls it.
package pods

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/source/reach"
)

const (
	quiet   = 5 * time.Millisecond  // without a change, before changes are told: a Pod waits for its name
	late    = 50 * time.Millisecond // after the first change, at most
	grumble = time.Minute           // between two lines of log about the same kind
)

// ended leaves the Pods out that have come to their end; the API server tells of one that comes to it as of a deletion.
const ended = "status.phase!=Succeeded,status.phase!=Failed"

// Rules are the rights that a Watcher needs in the whole cluster, and no more.
func Rules() []rbacv1.PolicyRule {
	verbs := []string{"list", "watch"}
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: verbs},
		{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: verbs},
		{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: verbs},
	}
}

// between are what stands between a Pod and its maker, by kind.
var between = map[string]schema.GroupVersionResource{
	"ReplicaSet": {Group: "apps", Version: "v1", Resource: "replicasets"},
	"Job":        {Group: "batch", Version: "v1", Resource: "jobs"},
}

// Config is what a Watcher is made of. All is required.
type Config struct {
	Client   kubernetes.Interface
	Metadata metadata.Interface
	Logger   *slog.Logger
}

// Watcher reads the Pods of a cluster.
type Watcher struct {
	config  Config
	pods    cache.SharedIndexInformer
	owners  map[string]cache.SharedIndexInformer // by kind
	stirred chan struct{}                        // has an element where something changed

	mu       sync.Mutex
	dirty    map[string]struct{} // keys of Pods to look at
	grumbled map[string]time.Time

	told    map[string]*plan.Workload // by name
	endings map[string]time.Time      // by key: when Pods that are being deleted have to be gone
}

// New makes a Watcher that has read nothing.
func New(c Config) *Watcher {
	w := &Watcher{
		config: c, owners: map[string]cache.SharedIndexInformer{}, stirred: make(chan struct{}, 1),
		dirty: map[string]struct{}{}, grumbled: map[string]time.Time{}, told: map[string]*plan.Workload{}, endings: map[string]time.Time{},
	}
	w.pods = informers.NewFilteredPodInformer(c.Client, metav1.NamespaceAll, 0, cache.Indexers{byOwner: ownersOf},
		func(o *metav1.ListOptions) { o.FieldSelector = ended })
	w.prepare("Pod", w.pods, slim, func(object any) { w.touch(keyOf(object)) })
	for kind, resource := range between {
		informer := metadatainformer.NewFilteredMetadataInformer(c.Metadata, resource, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
		w.owners[kind] = informer
		w.prepare(kind, informer, slimOwner, func(object any) { w.touchOwned(kind, keyOf(object)) })
	}
	return w
}

func (w *Watcher) prepare(kind string, informer cache.SharedIndexInformer, slim cache.TransformFunc, changed func(object any)) {
	// These refuse alone what has been started.
	_ = informer.SetTransform(slim)
	_ = informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) { w.grumble(kind, err) })
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: changed, UpdateFunc: func(_, object any) { changed(object) }, DeleteFunc: changed,
	})
}

// Run calls changed with every workload, by name, once all have been read, and then with those that have come or changed,
// and nil for those that have gone, until ctx ends. It calls it from one goroutine. What it hands over is immutable.
func (w *Watcher) Run(ctx context.Context, changed func(map[string]*plan.Workload)) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	synced := []cache.InformerSynced{w.pods.HasSynced}
	watching.Go(func() { w.pods.RunWithContext(ctx) })
	for _, informer := range w.owners {
		synced = append(synced, informer.HasSynced)
		watching.Go(func() { informer.RunWithContext(ctx) })
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return
	}
	for _, key := range w.pods.GetStore().ListKeys() {
		w.touch(key)
	}
	changed(w.changes(time.Now()))
	var first, due, end <-chan time.Time // since the first change, since the last, and when a Pod has to be gone
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.stirred:
			due = time.After(quiet)
			if first == nil {
				first = time.After(late)
			}
			continue
		case <-due:
		case <-first:
		case <-end:
		}
		first, due = nil, nil
		now := time.Now()
		if list := w.changes(now); len(list) > 0 {
			changed(list)
		}
		end = w.end(now)
	}
}

// changes looks at what has been touched, and at what has to be gone by now.
func (w *Watcher) changes(now time.Time) map[string]*plan.Workload {
	w.mu.Lock()
	dirty := w.dirty
	w.dirty = map[string]struct{}{}
	w.mu.Unlock()
	for key, at := range w.endings {
		if !at.After(now) {
			dirty[key] = struct{}{}
		}
	}
	list := map[string]*plan.Workload{}
	for key := range dirty {
		name := "Pod/" + key
		workload := w.look(key, now)
		switch last := w.told[name]; {
		case workload == nil && last != nil:
			delete(w.told, name)
			list[name] = nil
		case workload != nil && (last == nil || !reflect.DeepEqual(workload, last)):
			w.told[name] = workload
			list[name] = workload
		}
	}
	return list
}

// look makes a workload of a Pod; nil where there is none any more.
func (w *Watcher) look(key string, now time.Time) *plan.Workload {
	delete(w.endings, key)
	object, exists, err := w.pods.GetStore().GetByKey(key)
	if err != nil || !exists {
		return nil
	}
	p, ok := object.(*pod)
	if !ok {
		return nil
	}
	if at := p.DeletionTimestamp; at != nil {
		if !at.After(now) {
			return nil
		}
		w.endings[key] = at.Time
	}
	return p.workload(w.owner)
}

// end is when the next Pod has to be gone.
func (w *Watcher) end(now time.Time) <-chan time.Time {
	var next time.Time
	for _, at := range w.endings {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if next.IsZero() {
		return nil
	}
	return time.After(next.Sub(now))
}

// owner is what made an owner; nil where nothing did, or where it is not known.
func (w *Watcher) owner(namespace string, of *owner) *owner {
	informer := w.owners[of.kind]
	if informer == nil {
		return nil
	}
	object, exists, err := informer.GetStore().GetByKey(namespace + "/" + of.name)
	if m, ok := object.(*metav1.PartialObjectMetadata); err == nil && exists && ok && m.UID == of.uid {
		return ownerOf(m.OwnerReferences)
	}
	return nil
}

func (w *Watcher) touch(keys ...string) {
	w.mu.Lock()
	for _, key := range keys {
		w.dirty[key] = struct{}{}
	}
	w.mu.Unlock()
	select {
	case w.stirred <- struct{}{}:
	default:
	}
}

// touchOwned touches what an owner made.
func (w *Watcher) touchOwned(kind, key string) {
	keys, err := w.pods.GetIndexer().IndexKeys(byOwner, kind+"/"+key)
	if err == nil && len(keys) > 0 {
		w.touch(keys...)
	}
}

func keyOf(object any) string {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
	if err != nil {
		return ""
	}
	return key
}

// grumble says that a kind cannot be read, not too often; of an outage others tell.
func (w *Watcher) grumble(kind string, err error) {
	if reach.Told(err) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.grumbled[kind]) < grumble {
		return
	}
	w.grumbled[kind] = time.Now()
	w.config.Logger.Error("watch a kind", "kind", kind, "error", err)
}

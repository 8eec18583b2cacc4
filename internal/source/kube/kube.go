// Package kube delivers what a cluster's API server holds as snapshots: every kind that internal/schema reads and the
// cluster serves, decoded to its Go type, as watches bring it. It adds no meaning, writes nothing, and defaults and checks
// nothing, which the API server has done. The controller calls it.
package kube

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/ebbgate/ebbgate/internal/plan"
	ebbschema "github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/source/reach"
)

const (
	quiet    = 5 * time.Millisecond   // without a change, before a snapshot is made
	late     = 200 * time.Millisecond // after the first change, at most
	discover = 30 * time.Second       // between two looks for kinds that were not served before
	grumble  = time.Minute            // between two lines of log about the same kind
	own      = "ebbgate.dev"          // group of our kinds
)

// Config is what a Source is made of. All is required but SecretNamespaces.
type Config struct {
	Client           dynamic.Interface
	Discovery        discovery.DiscoveryInterface
	SecretNamespaces []string // whose Secrets are read; empty: all
	Logger           *slog.Logger
}

// Source reads a cluster.
type Source struct {
	config  Config
	schema  *ebbschema.Validator
	stirred chan struct{} // has an element where something changed

	mu        sync.Mutex
	watches   []*watch
	resources map[string]schema.GroupVersionResource // by kind, of those that are watched
	grumbled  map[string]time.Time                   // by kind
	unserved  []string                               // kinds that were not served when it was last asked
	last      map[string]source.Object               // of the newest snapshot; nil before the first
	unread    map[string]string                      // of the newest snapshot
}

// watch is the objects of one kind, or of one kind in one namespace.
type watch struct {
	kind     string
	informer cache.SharedIndexInformer
}

// New makes a Source that has read nothing.
func New(c Config) *Source {
	return &Source{
		config: c, schema: ebbschema.New(), stirred: make(chan struct{}, 1),
		resources: map[string]schema.GroupVersionResource{}, grumbled: map[string]time.Time{},
	}
}

// Resource is how the API server calls a kind that is watched.
func (s *Source) Resource(kind string) (schema.GroupVersionResource, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.resources[kind]
	return r, ok
}

// Run calls changed with a snapshot once all that the cluster serves has been read, and after each change, until ctx ends.
// It calls it from one goroutine. The error says that the API server could not be asked what it serves.
func (s *Source) Run(ctx context.Context, changed func(*source.Snapshot)) error {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	if err := s.find(ctx, &watching); err != nil {
		return err
	}
	again := time.NewTicker(discover)
	defer again.Stop()
	var first, due <-chan time.Time // since the first change, and since the last
	var took time.Duration          // the last snapshot, with what was made of it
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			if err := s.find(ctx, &watching); err != nil && ctx.Err() == nil && !reach.Told(err) {
				s.config.Logger.Warn("ask the API server which kinds it serves", "error", err)
			}
			continue
		case <-s.stirred:
			due = time.After(max(quiet, took)) // so that no more than half the time goes into snapshots, whatever changes
			if first == nil {
				first = time.After(max(late, took))
			}
			continue
		case <-due:
		case <-first:
		}
		due = nil
		if !s.synced() {
			first = nil
			due = time.After(quiet)
			continue
		}
		first = nil
		begin := time.Now()
		changed(s.snapshot())
		took = time.Since(begin)
	}
}

// find watches the kinds that the cluster serves and that are not watched yet.
func (s *Source) find(ctx context.Context, watching *sync.WaitGroup) error {
	served := map[schema.GroupVersion]map[string]metav1.APIResource{}
	var unserved []ebbschema.Kind
	for _, kind := range s.schema.Kinds() {
		if _, ok := s.Resource(kind.Kind); ok {
			continue
		}
		for _, version := range kind.Versions {
			gv := schema.GroupVersion{Group: kind.Group, Version: version}
			if served[gv] == nil {
				list, err := s.config.Discovery.ServerResourcesForGroupVersion(gv.String())
				switch {
				case apierrors.IsNotFound(err):
					list = &metav1.APIResourceList{}
				case err != nil:
					return fmt.Errorf("discover %s: %w", gv, err)
				}
				served[gv] = byKind(list)
			}
			if r, ok := served[gv][kind.Kind]; ok {
				s.watch(ctx, watching, kind.Kind, gv.WithResource(r.Name))
				break
			}
		}
		if _, ok := s.Resource(kind.Kind); !ok {
			unserved = append(unserved, kind)
		}
	}
	s.miss(ctx, unserved)
	return nil
}

// miss says which kinds the cluster does not serve, where that has changed. Without Gateways and our own kinds there is
// nothing to do; without the others nobody can have written one.
func (s *Source) miss(ctx context.Context, unserved []ebbschema.Kind) {
	level := slog.LevelInfo
	var names []string
	for _, kind := range unserved {
		names = append(names, kind.String())
		if kind.Group == own || kind.Kind == "GatewayClass" || kind.Kind == "Gateway" {
			level = slog.LevelWarn
		}
	}
	s.mu.Lock()
	changed := !slices.Equal(names, s.unserved)
	s.unserved = names
	s.mu.Unlock()
	if changed && len(names) > 0 {
		s.config.Logger.Log(ctx, level, "the cluster does not serve kinds that are read here: install their CRDs, and they are taken up", "kinds", names)
	}
}

// byKind are the resources that are no subresource.
func byKind(list *metav1.APIResourceList) map[string]metav1.APIResource {
	resources := map[string]metav1.APIResource{}
	for _, r := range list.APIResources {
		if _, seen := resources[r.Kind]; !seen && !strings.Contains(r.Name, "/") {
			resources[r.Kind] = r
		}
	}
	return resources
}

func (s *Source) watch(ctx context.Context, watching *sync.WaitGroup, kind string, resource schema.GroupVersionResource) {
	namespaces := []string{metav1.NamespaceAll}
	if kind == "Secret" && len(s.config.SecretNamespaces) > 0 {
		namespaces = s.config.SecretNamespaces
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resources[kind] = resource
	for _, namespace := range namespaces {
		informer := dynamicinformer.NewFilteredDynamicInformer(s.config.Client, resource, namespace, 0, cache.Indexers{}, nil).Informer()
		// Both refuse alone what has been started.
		_ = informer.SetTransform(func(object any) (any, error) { return s.decode(kind, object), nil })
		_ = informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) { s.grumble(kind, err) })
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { s.stir() }, UpdateFunc: func(any, any) { s.stir() }, DeleteFunc: func(any) { s.stir() },
		})
		s.watches = append(s.watches, &watch{kind, informer})
		watching.Go(func() { informer.RunWithContext(ctx) })
		watching.Go(func() { // an empty kind stirs nothing by itself
			if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
				s.stir()
			}
		})
	}
}

func (s *Source) stir() {
	select {
	case s.stirred <- struct{}{}:
	default:
	}
}

// grumble says that a kind cannot be read, not too often; of an outage others tell.
func (s *Source) grumble(kind string, err error) {
	if reach.Told(err) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.grumbled[kind]) < grumble {
		return
	}
	s.grumbled[kind] = time.Now()
	s.config.Logger.Error("watch a kind", "kind", kind, "error", err)
}

// synced reports whether there can be a snapshot: the first one waits for every kind, the next ones for none that the
// cluster has come to serve since.
func (s *Source) synced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil {
		return true
	}
	for _, w := range s.watches {
		if !w.informer.HasSynced() {
			return false
		}
	}
	return true
}

// snapshot is what the watches hold. An object of the same version keeps its pointer, though it was read anew, and one that
// cannot be read is as it was before.
func (s *Source) snapshot() *source.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	objects, unread := make(map[string]source.Object, len(s.last)), map[string]string{}
	for _, w := range s.watches {
		for _, held := range w.informer.GetStore().List() {
			object, fits := held.(source.Object)
			if !fits {
				continue
			}
			key := plan.ObjectName(w.kind, object.GetNamespace(), object.GetName())
			b, _ := object.(*broken)
			last := s.last[key]
			_, never := s.unread[key]
			again := last != nil && last.GetUID() == object.GetUID()
			switch {
			case again && (b != nil && (!never || b.rest == nil) || last.GetResourceVersion() == object.GetResourceVersion()):
				object = last
			case b == nil:
			case b.rest == nil:
				continue
			default:
				object = b.rest
			}
			if objects[key] = object; b != nil && (never && again || object == b.rest) {
				unread[key] = b.why
			}
		}
	}
	s.last, s.unread = objects, unread
	return &source.Snapshot{Objects: objects, Unread: unread}
}

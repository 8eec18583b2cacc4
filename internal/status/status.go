// Package status writes what translate judges to the API server: conditions, addresses and listeners of Gateways,
// parents of routes, ancestors of policies and Backends. It is the only writer of statuses, writes only where something
// differs, and leaves what other controllers wrote. It judges nothing. The controller that leads runs it.
package status

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/workqueue"

	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

const (
	writers  = 4
	slowest  = 30 * time.Second // between two tries to write one status
	quickest = 50 * time.Millisecond
)

// Writer writes statuses while Run runs.
type Writer struct {
	client   dynamic.Interface
	resource func(kind string) (schema.GroupVersionResource, bool)
	logger   *slog.Logger

	mu      sync.Mutex
	queue   workqueue.TypedRateLimitingInterface[string] // nil while nothing runs
	objects map[string]source.Object
	wanted  map[string]*translate.Status
	looked  map[string]pair // at what was looked last
}

// pair is an object and what its status should be.
type pair struct {
	object source.Object
	wanted *translate.Status
}

// New makes a Writer. resource is how the API server calls a kind.
func New(client dynamic.Interface, resource func(kind string) (schema.GroupVersionResource, bool), logger *slog.Logger) *Writer {
	return &Writer{client: client, resource: resource, logger: logger, looked: map[string]pair{}}
}

// Set says what statuses should be, for the objects that they are of. It does not wait.
func (w *Writer) Set(s *source.Snapshot, statuses []*translate.Status) {
	wanted := make(map[string]*translate.Status, len(statuses))
	for _, status := range statuses {
		wanted[status.Object] = status
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.objects, w.wanted = s.Objects, wanted
	w.look()
}

// look queues what differs from what was looked at last.
func (w *Writer) look() {
	if w.queue == nil {
		return
	}
	for key, object := range w.objects {
		now := pair{object, w.wanted[key]}
		if w.looked[key] == now {
			continue
		}
		w.looked[key] = now
		w.queue.Add(key)
	}
	for key := range w.looked {
		if w.objects[key] == nil {
			delete(w.looked, key)
		}
	}
}

// Run writes until ctx ends, what was set before too. It may run again, and once at a time.
func (w *Writer) Run(ctx context.Context) {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](quickest, slowest))
	w.set(queue)
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for {
				key, over := queue.Get()
				if over {
					return
				}
				w.try(ctx, queue, key)
				queue.Done(key)
			}
		})
	}
	<-ctx.Done()
	w.set(nil)
	queue.ShutDown()
	all.Wait()
}

func (w *Writer) set(queue workqueue.TypedRateLimitingInterface[string]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = queue
	clear(w.looked)
	w.look()
}

func (w *Writer) try(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string], key string) {
	err := w.write(ctx, key)
	switch {
	case err == nil, apierrors.IsNotFound(err), ctx.Err() != nil:
		queue.Forget(key)
		return
	case !apierrors.IsConflict(err): // else somebody wrote meanwhile, and what he wrote is about to be seen
		w.logger.Error("write a status", "object", key, "error", err)
	}
	queue.AddRateLimited(key)
}

// write brings an object's status to what it should be, if it is not.
func (w *Writer) write(ctx context.Context, key string) error {
	w.mu.Lock()
	object, wanted := w.objects[key], w.wanted[key]
	w.mu.Unlock()
	if object == nil {
		return nil
	}
	is, err := written(object)
	if err != nil || is == nil && wanted == nil {
		return err
	}
	fields, err := merged(is, wanted)
	if err != nil || len(fields) == 0 {
		return err
	}
	kind, _, _ := strings.Cut(key, "/")
	resource, ok := w.resource(kind)
	if !ok {
		return fmt.Errorf("%s is not served", kind)
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": object.GetResourceVersion()}, "status": fields,
	})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	_, err = w.client.Resource(resource).Namespace(object.GetNamespace()).Patch(ctx, object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "ebbgate-controller"}, "status")
	return err
}

// written is the status that an object carries, as JSON has it; nil where it has none.
func written(object source.Object) (map[string]any, error) {
	u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("read status: %w", err)
	}
	status, _ := u["status"].(map[string]any)
	return status, nil
}

// merged are the fields that must be written for a status to be the one wanted. Conditions of a type that is not ours, and
// entries of other controllers, stay as they are, and where ours are right their order is nobody's business.
func merged(is map[string]any, wanted *translate.Status) (map[string]any, error) {
	if wanted == nil {
		wanted = &translate.Status{}
	}
	want, err := runtime.DefaultUnstructuredConverter.ToUnstructured(wanted)
	if err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	fields := map[string]any{}
	set := func(field string, ours func(map[string]any) bool) {
		has, others := parted(is[field], ours)
		own, _ := parted(want[field], ours)
		if len(has)+len(own) > 0 && !reflect.DeepEqual(has, own) {
			fields[field] = append(append([]any{}, others...), own...) // never null: the lists are required
		}
	}
	set("parents", entryOfOurs)
	set("ancestors", entryOfOurs)
	if len(wanted.Conditions) > 0 {
		all := func(map[string]any) bool { return true }
		set("conditions", conditionOfOurs)
		set("addresses", all)
		set("listeners", all)
		set("supportedFeatures", all)
	}
	return fields, nil
}

// parted parts a list in what is ours and what is not.
func parted(list any, ours func(map[string]any) bool) (own, others []any) {
	entries, _ := list.([]any)
	for _, entry := range entries {
		if m, ok := entry.(map[string]any); ok && ours(m) {
			own = append(own, entry)
		} else {
			others = append(others, entry)
		}
	}
	return own, others
}

func entryOfOurs(m map[string]any) bool { return m["controllerName"] == string(attach.Controller) }

package controller

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/source/reach"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

const (
	eventEvery  = 30 * time.Second // at the soonest, of one series
	eventsOnce  = 20               // that are written at one time
	maxSeries   = 200              // of one Gateway
	seriesIdle  = time.Hour        // after which one is over, as Kubernetes forgets its Event
	maxInstance = 128              // bytes of who reports, by the schema of Events
	reasonsPage = "https://ebbgate.dev/docs/reasons#"
)

// events write what is denied as Events of the route, or of the Gateway where no route took the request, and certificates
// that end soon as Events of the Gateway: one Event for each route, policy and reason, which is a series with a count. They
// hold nothing of a request. Its methods are for one goroutine.
type events struct {
	client   kubernetes.Interface
	every    time.Duration
	instance string
	logger   *slog.Logger
	object   func(key string) source.Object // nil where there is none

	series map[cause]*series
	of     map[string]int       // series, by Gateway
	ending map[string]time.Time // namespaces that are being deleted, of which the log has it, and when that was last heard
}

// series is one Event.
type series struct {
	event   *eventsv1.Event // as it is created
	count   int64           // denials in all
	written int64           // of these that the Event tells
	there   bool            // the Event is
	seen    time.Time       // the last denial
	tried   time.Time       // the last writing
}

func newEvents(client kubernetes.Interface, identity string, logger *slog.Logger, object func(key string) source.Object) *events {
	return &events{client: client, every: eventEvery, instance: identity[:min(len(identity), maxInstance)], logger: logger, object: object, series: map[cause]*series{}, of: map[string]int{}, ending: map[string]time.Time{}}
}

// write counts denials, and writes the Events that are due.
func (e *events) write(ctx context.Context, denials map[cause]int64) {
	now := time.Now()
	e.count(denials, now)
	var due []*series
	for c, s := range e.series {
		switch {
		case s.count > s.written && now.Sub(s.tried) >= e.every:
			due = append(due, s)
		case now.Sub(s.seen) > seriesIdle:
			delete(e.series, c)
			if e.of[c.gateway]--; e.of[c.gateway] == 0 {
				delete(e.of, c.gateway)
			}
		}
	}
	slices.SortFunc(due, func(a, b *series) int { return cmp.Or(a.tried.Compare(b.tried), a.seen.Compare(b.seen)) })
	for _, s := range due[:min(len(due), eventsOnce)] {
		s.tried = now
		e.tried(ctx, s, e.put(ctx, s), now)
	}
	maps.DeleteFunc(e.ending, func(_ string, heard time.Time) bool { return now.Sub(heard) > seriesIdle })
}

// tried says what came of writing an Event, where that is news. A namespace that is being deleted takes none any more: what
// was counted for it is dropped.
func (e *events) tried(ctx context.Context, s *series, err error, now time.Time) {
	namespace := s.event.Namespace
	switch _, told := e.ending[namespace]; {
	case err == nil:
		delete(e.ending, namespace)
	case ctx.Err() != nil || reach.Told(err):
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		s.written, e.ending[namespace] = s.count, now
		if !told {
			e.logger.Info("no more Events in a namespace that is being deleted", "namespace", namespace)
		}
	default:
		e.logger.Warn("write an Event", "namespace", namespace, "event", s.event.Name, "error", err)
	}
}

func (e *events) count(denials map[cause]int64, now time.Time) {
	left := 0
	for c, n := range denials {
		s := e.series[c]
		if s == nil && e.of[c.gateway] < maxSeries {
			if event := e.event(c, now); event != nil {
				s = &series{event: event}
				e.series[c] = s
				e.of[c.gateway]++
			}
		}
		if s == nil {
			left++
			continue
		}
		s.count += n
		s.seen = now
	}
	if left > 0 {
		e.logger.Warn("denials without an Event: their route is gone, or there are too many series", "causes", left)
	}
}

// event is that of a cause, before it is counted; nil where its object is not there.
func (e *events) event(c cause, now time.Time) *eventsv1.Event {
	on := c.Route
	if on == "" {
		on = "Gateway/" + c.gateway
	}
	object := e.object(on)
	if object == nil {
		return nil
	}
	var related *corev1.ObjectReference
	if c.Policy != "" {
		if policy := e.object(c.Policy); policy != nil {
			related = reference(policy)
		}
	}
	action, note := "Deny", denial(c)
	if c.Reason == certificateExpires {
		action, note = "Serve", "the certificate of "+attach.Words(c.Policy)+" that proxies have in force ends within seven days, or has ended"
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{string(object.GetUID()), c.gateway, c.Policy, string(c.Reason)}, "\x00")))
	name := object.GetName()
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: object.GetNamespace(), Name: strings.TrimRight(name[:min(len(name), 200)], "-.") + "." + hex.EncodeToString(sum[:8])},
		EventTime:  metav1.NewMicroTime(now), ReportingController: string(attach.Controller), ReportingInstance: e.instance,
		Action: action, Reason: camel(string(c.Reason)), Regarding: *reference(object), Related: related, Type: corev1.EventTypeWarning,
		Note: note,
	}
}

// denial is what an Event says of one.
func denial(c cause) string {
	by, at := "", ""
	if c.Policy != "" {
		by = " by " + attach.Words(c.Policy)
	}
	if c.Route != "" {
		at = ", at Gateway " + c.gateway
	}
	return "requests are denied" + by + ": " + string(c.Reason) + at + " (" + reasonsPage + string(c.Reason) + ")"
}

func reference(object source.Object) *corev1.ObjectReference {
	kind := object.GetObjectKind().GroupVersionKind()
	return &corev1.ObjectReference{
		APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID(),
	}
}

// camel is host_denied as HostDenied.
func camel(reason string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(reason, "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// put brings an Event to its count. One that is there already, of whoever led before, counts on.
func (e *events) put(ctx context.Context, s *series) error {
	client := e.client.EventsV1().Events(s.event.Namespace)
	if !s.there {
		event := s.event.DeepCopy()
		event.EventTime = metav1.NewMicroTime(s.seen)
		if n := s.count - s.written; n > 1 { // a series has two at least
			event.Series = &eventsv1.EventSeries{Count: int32(min(n, 1<<31-1)), LastObservedTime: metav1.NewMicroTime(s.seen)}
		}
		_, err := client.Create(ctx, event, metav1.CreateOptions{FieldManager: fieldManager})
		if err == nil {
			s.there, s.written = true, s.count
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create it: %w", err)
		}
	}
	is, err := client.Get(ctx, s.event.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) { // Kubernetes forgets Events
		s.there = false
		s.tried = time.Time{}
		return nil
	} else if err != nil {
		return fmt.Errorf("read it: %w", err)
	}
	total := int64(1)
	if is.Series != nil {
		total = int64(is.Series.Count)
	}
	total += s.count - s.written
	patch, err := json.Marshal(map[string]any{"series": eventsv1.EventSeries{
		Count: int32(min(total, 1<<31-1)), LastObservedTime: metav1.NewMicroTime(s.seen), //nolint:gosec // bounded here
	}})
	if err != nil {
		return fmt.Errorf("encode it: %w", err)
	}
	if _, err = client.Patch(ctx, s.event.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("patch it: %w", err)
	}
	s.there, s.written = true, s.count
	return nil
}

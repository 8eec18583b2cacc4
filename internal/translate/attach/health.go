package attach

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
)

// Healthy is the condition of a Backend at a Gateway whose proxies tell how it stands. It is absent where none does.
const Healthy = Group + "/Healthy"

// Reach is a backend, by its plan name, as a Gateway, by namespace/name, reaches it.
type Reach struct{ Backend, Gateway string }

func (at Reach) key() string { return at.Backend + " " + at.Gateway }

// Health is how a Gateway's proxies see a backend.
type Health struct {
	Proxies   int // that tell
	Out       int // of these send it no requests
	Returning int // send it fewer than its share
}

// sure is the key under which it stands that whatever is not told nobody tells.
const sure = "sure"

// Hears are what proxies tell.
type Hears struct {
	Healths derive.Source[Health]
	sure    derive.Source[bool]
	last    map[Reach]Health
}

// NewHears adds empty sources to a graph.
func NewHears(g *derive.Graph) *Hears {
	return &Hears{derive.NewSource[Health](g), derive.NewSource[bool](g), map[Reach]Health{}}
}

// Set passes on what differs from what was told before.
func (h *Hears) Set(all map[Reach]Health, certain bool) {
	for at, health := range all {
		if last, ok := h.last[at]; !ok || last != health {
			h.last[at] = health
			h.Healths.Set(at.key(), health)
		}
	}
	for at := range h.last {
		if _, ok := all[at]; !ok {
			delete(h.last, at)
			h.Healths.Delete(at.key())
		}
	}
	if is, _ := h.sure.Peek(sure); is != certain {
		h.sure.Set(sure, certain)
	}
}

// Health adds what the proxies of a Gateway tell of a backend, or what its status says until they have had the time to tell.
func (c *Conditions) Health(r *derive.Reader, h *Hears, at Reach, written []metav1.Condition) {
	health, told := derive.Get(r, h.Healths.Collection, at.key())
	if !told {
		if is, ok := find(written, Healthy); ok {
			if certain, _ := derive.Get(r, h.sure.Collection, sure); !certain {
				c.Add(Healthy, is.Status, is.Reason, is.Message)
			}
		}
		return
	}
	switch {
	case health.Out == health.Proxies:
		c.Add(Healthy, metav1.ConditionFalse, "Unhealthy", "no proxy sends it requests: it is ejected, set aside, or fails its checks")
	case health.Out+health.Returning > 0:
		c.Add(Healthy, metav1.ConditionTrue, "PartlyHealthy",
			fmt.Sprintf("of %d proxies %d send it no requests, and %d fewer than its share", health.Proxies, health.Out, health.Returning))
	default:
		c.Add(Healthy, metav1.ConditionTrue, "Healthy", "")
	}
}

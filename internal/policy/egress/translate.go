package egress

import (
	"reflect"
	"strings"
	"time"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/clients"
	"github.com/ebbgate/ebbgate/internal/policy/duration"
)

func translate(refs policy.References, object policy.Object) any {
	o := object.(*v1alpha1.EgressPolicy)
	spec := &o.Spec
	c := &Config{
		Clients:     clients.Translate(spec.Clients),
		Priority:    number(spec.Priority),
		Tiers:       tiers(refs, o),
		Timeouts:    timeouts(refs, spec.Timeouts),
		Connections: connections(refs, spec.Connections),
		Retry:       retry(refs, spec.Retry),
		Health:      health(refs, spec.Health),
	}
	c.parent(refs, o)
	if spec.Region != nil {
		c.Region = *spec.Region
	}
	if r := spec.Requests; r != nil {
		c.Methods, c.Paths = words(r.Methods), words(r.Paths)
		for _, path := range c.Paths {
			if _, err := newPattern(path); err != nil {
				refs.Invalid("spec.requests.paths", err.Error(), "write it as /v1/models, /v1/*/chat or /v1/chat/**")
			}
		}
	}
	return c
}

func timeouts(refs policy.References, written *v1alpha1.Timeouts) Timeouts {
	if written == nil {
		return Timeouts{}
	}
	const field = "spec.timeouts."
	return Timeouts{
		Connect:    positive(refs, field+"connect", written.Connect),
		FirstByte:  duration.Translate(refs, field+"firstByte", written.FirstByte),
		StreamIdle: duration.Translate(refs, field+"streamIdle", written.StreamIdle),
		Request:    duration.Translate(refs, field+"request", written.Request),
	}
}

func connections(refs policy.References, written *v1alpha1.Connections) Connections {
	if written == nil {
		return Connections{}
	}
	const field = "spec.connections."
	return Connections{
		Max: number(written.Max), Pending: number(written.Pending),
		Wait: positive(refs, field+"wait", written.Wait),
		Idle: positive(refs, field+"idle", written.Idle),
	}
}

// positive reads a duration for which zero would not be none.
func positive(refs policy.References, field string, written *gwapiv1.Duration) *time.Duration {
	d := duration.Translate(refs, field, written)
	if d != nil && *d == 0 {
		refs.Invalid(field, "the duration must be above zero", "leave it out for the default")
	}
	return d
}

func number(written *int32) *int {
	if written == nil {
		return nil
	}
	return new(int(*written))
}

func numbers[T ~int32](written []T) []int {
	if written == nil {
		return nil
	}
	list := make([]int, len(written))
	for i, n := range written {
		list[i] = int(n)
	}
	return list
}

func words[T ~string](written []T) []string {
	if written == nil {
		return nil
	}
	list := make([]string, len(written))
	for i, w := range written {
		list[i] = string(w)
	}
	return list
}

// effective says that a policy which states nothing does nothing, and which part of one does nothing for a destination.
func effective(config any, target *plan.Backend) string {
	c := config.(*Config)
	switch {
	case c.Mode != "" && !c.states():
		return "mode Endpoint is what holds where no policy says otherwise"
	case !c.states():
		return "the policy states none of mode, region, clients, requests, priority, tiers, timeouts, connections, retry and health"
	case target == nil:
	case c.Parent != "" && !reflect.ValueOf(c.Health).IsZero():
		return "health is that of the Backend in parentRef: write it in a policy on that one"
	case c.Health.Active == nil:
	case strings.HasPrefix(target.Hostname, "*."):
		return "health.active has no address to ask: the hostname is a wildcard"
	case c.Health.Active.Type == policy.ActiveGRPC && target.Protocol == plan.HTTP11:
		return "health.active of type GRPC needs HTTP/2, and the destination is spoken to in HTTP/1.1"
	}
	return ""
}

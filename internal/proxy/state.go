package proxy

import (
	"cmp"
	"slices"
	"time"

	"github.com/ebbgate/ebbgate/internal/proxy/health"
)

// BackendState is how a backend of a Gateway stands. Its addresses are for administrators alone.
type BackendState struct {
	Gateway string       `json:"gateway"`
	Backend string       `json:"backend"`
	Health  health.State `json:"health"`
	Open    int64        `json:"connections"` // open, or being made
	Pending int64        `json:"pending"`     // requests that wait for one
}

// Backends are the backends that the table in force reaches, in the order of their Gateways' names and their own.
func (s *Server) Backends() []BackendState {
	type counts struct{ open, pending int64 }
	connections := map[healthKey]counts{}
	s.dialer.Connections(func(gateway, backend string, open, pending int64) {
		connections[healthKey{gateway, backend}] = counts{open, pending}
	})
	list := []BackendState{}
	for key, h := range s.table.Load().health {
		n := connections[key]
		list = append(list, BackendState{key.gateway, key.backend, h.State(), n.open, n.pending})
	}
	slices.SortFunc(list, func(a, b BackendState) int {
		return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.Backend, b.Backend))
	})
	return list
}

// tell logs that a backend is out, or back in.
func (s *Server) tell(gateway, backend string) func(health.Phase, *time.Time, string) {
	return func(now health.Phase, until *time.Time, fault string) {
		fields := []any{"gateway", gateway, "backend", backend, "now", string(now)}
		if until != nil {
			fields = append(fields, "until", until.UTC().Format(time.RFC3339))
		}
		if fault != "" {
			fields = append(fields, "last_fault", fault)
		}
		s.config.Logger.Info("the health of a backend has changed", fields...)
	}
}

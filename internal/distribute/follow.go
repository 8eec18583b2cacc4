package distribute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// Workloads go on a stream of their own, beside the plan's: they come and go all the time, and nothing waits for them to be
// whole. What a message says holds at once. A stream begins with all that there are, which may be some messages, and may
// come to that again.
const (
	workloadsURL    = "type.ebbgate.dev/ebbgate.workloads.v1.Workload"
	workloadPrefix  = "workload/"
	wholeName       = "whole"                  // the resource that ends all that there are
	wholeType       = workloadsURL + "s.Whole" // its type
	wholeInfo       = "whole"                  // the version of messages that belong to that
	maxOwnAddresses = 8                        // of one workload
)

// Inform takes the workloads that have come or changed and, as nil, those that have gone, by name; where whole is true they
// are all that there are. Proxies of Gateways that know clients by them are told.
func (s *Server) Inform(changed map[string]*plan.Workload, whole bool) {
	if err := s.roster.update(changed, whole); err != nil {
		s.config.Logger.Error("tell proxies of Pods: those left out have no name", "error", err)
	}
}

// follow tells one proxy of workloads until the stream ends. One whose Gateway does not know clients by them hears that
// there are none.
func (s *Server) follow(d discovery, gateway string) error {
	var place uint64
	anywhere, told := false, false
	for {
		wants, published := s.wants(gateway)
		if told != wants {
			anywhere = false
		}
		t, news := s.roster.since(place, anywhere)
		if !wants {
			t.all, t.list = nil, nil
		}
		if t.whole || len(t.list) > 0 {
			if err := tell(t, d.Send); err != nil {
				return err
			}
			anywhere, told = true, wants
		}
		place = t.next
		select {
		case <-news:
		case <-published:
		case <-d.Context().Done():
			return d.Context().Err()
		}
	}
}

// wants reports whether a Gateway knows clients by workloads, and what is closed when that may be otherwise.
func (s *Server) wants(gateway string) (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byWorkload[gateway], s.published
}

// tell sends tidings. Those that are whole end with a resource that says so.
func tell(t tidings, send func(*discoveryv3.DeltaDiscoveryResponse) error) error {
	var all []*discoveryv3.DeltaDiscoveryResponse
	info := ""
	if t.all != nil {
		all = t.all.messages
	}
	if t.whole {
		info = wholeInfo
	}
	rest := messages(t.list, info)
	if t.whole {
		last := rest[len(rest)-1]
		last.Resources = append(last.Resources, &discoveryv3.Resource{Name: wholeName, Resource: &anypb.Any{TypeUrl: wholeType}})
	}
	for _, list := range [][]*discoveryv3.DeltaDiscoveryResponse{all, rest} {
		for _, m := range list {
			if err := send(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// messages are those that tell of workloads, one at the least.
func messages(list []standing, info string) (made []*discoveryv3.DeltaDiscoveryResponse) {
	message := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: workloadsURL, SystemVersionInfo: info}
	size := 0
	for _, w := range list {
		if size >= fullMessage {
			made = append(made, message)
			message, size = &discoveryv3.DeltaDiscoveryResponse{TypeUrl: workloadsURL, SystemVersionInfo: info}, 0
		}
		name := workloadPrefix + w.name
		size += len(name) + len(w.payload)
		if w.payload == nil {
			message.RemovedResources = append(message.RemovedResources, name)
			continue
		}
		message.Resources = append(message.Resources, &discoveryv3.Resource{Name: name, Resource: &anypb.Any{TypeUrl: workloadsURL, Value: w.payload}})
	}
	return append(made, message)
}

// hear follows workloads on a connection, again whenever that ends, until ctx does.
func (c *Client) hear(ctx context.Context, conn grpc.ClientConnInterface) {
	for wait := c.config.Backoff; ; wait = min(2*wait, c.config.MaxBackoff) {
		progressed, err := c.heed(ctx, conn)
		if ctx.Err() != nil {
			return
		}
		if progressed {
			wait = c.config.Backoff
		}
		c.config.Logger.Warn("hear of Pods: those that are known keep their names", "error", err, "again_in", wait)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// heed follows workloads on one stream until it ends.
func (c *Client) heed(ctx context.Context, conn grpc.ClientConnInterface) (progressed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return false, err
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: c.key}, TypeUrl: workloadsURL}); err != nil {
		_, err = stream.Recv() // which tells the reason
		return false, err
	}
	all := map[string]*plan.Workload{}
	for {
		message, err := stream.Recv()
		if err != nil {
			return progressed, err
		}
		changed, end, err := readWorkloads(message, c.config.Logger)
		if err != nil {
			return progressed, err
		}
		switch whole := message.GetSystemVersionInfo() == wholeInfo; {
		case !whole:
			c.config.Workloads(changed, false)
		case len(all)+len(changed) > 2*maxWorkloads:
			return progressed, errors.New("there are more workloads than there can be")
		default:
			for name, w := range changed {
				if all[name] = w; w == nil {
					delete(all, name)
				}
			}
			if end {
				c.config.Workloads(all, true)
				c.config.Logger.Info("Pods are known", "pods", len(all))
				all, progressed = map[string]*plan.Workload{}, true
			}
		}
	}
}

// workloadName is the plan name in a resource's: Pod/namespace/name.
func workloadName(resource string) (string, bool) {
	name, ok := strings.CutPrefix(resource, workloadPrefix)
	parts := strings.Split(name, "/")
	return name, ok && len(parts) == 3 && parts[0] == "Pod" && parts[1] != "" && parts[2] != ""
}

// readWorkloads reads a message; end says that all that there are have come. A workload that cannot be read has gone: nobody
// is known by it. What we do not know of one is passed over, as it takes nothing back.
func readWorkloads(m *discoveryv3.DeltaDiscoveryResponse, logger *slog.Logger) (changed map[string]*plan.Workload, end bool, err error) {
	if m.GetTypeUrl() != workloadsURL {
		return nil, false, fmt.Errorf("message of the type %q", cut(m.GetTypeUrl()))
	}
	changed = map[string]*plan.Workload{}
	for _, r := range m.GetResources() {
		if r.GetName() == wholeName {
			end = true
			continue
		}
		name, ok := workloadName(r.GetName())
		if !ok || r.GetResource().GetTypeUrl() != workloadsURL {
			return nil, false, fmt.Errorf("resource %q is no workload", cut(r.GetName()))
		}
		w := new(plan.Workload)
		if err := json.Unmarshal(r.GetResource().GetValue(), w); err != nil || w.Name != name || w.UID == "" || w.ServiceAccount == "" || len(w.Addresses) > maxOwnAddresses {
			logger.Warn("a Pod cannot be read: nobody is known by it", "pod", cut(name))
			w = nil
		}
		changed[name] = w
	}
	for _, full := range m.GetRemovedResources() {
		name, ok := workloadName(full)
		if !ok {
			return nil, false, fmt.Errorf("removal of %q, which is no workload", cut(full))
		}
		changed[name] = nil
	}
	return changed, end, nil
}

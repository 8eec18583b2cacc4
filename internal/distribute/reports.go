package distribute

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/report"
)

const (
	reportsName   = "ebbgate.report.v1.Reports"
	reportsStream = "Report"

	defaultReportEvery = 5 * time.Second
	reportPause        = time.Second      // before the Server reads a proxy's next report
	reportRetry        = 30 * time.Second // before a proxy begins a stream of reports anew
)

// reporter is what takes the streams of reports. Xds has none that says what we say, so that they are a service of our
// own, on the same connection: a message is a Report's JSON in a BytesValue, and nothing is answered.
type reporter interface {
	takeReports(stream grpc.ServerStream) error
}

var reportsService = grpc.ServiceDesc{
	ServiceName: reportsName, HandlerType: (*reporter)(nil),
	Streams: []grpc.StreamDesc{{
		StreamName: reportsStream, ClientStreams: true,
		Handler: func(server any, stream grpc.ServerStream) error { return server.(reporter).takeReports(stream) },
	}},
}

// vocabulary is the names that a generation has.
type vocabulary struct{ routes, policies, backends, secrets map[string]bool }

func (g *generation) known() *vocabulary {
	g.named.Do(func() {
		k := &vocabulary{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
		for _, i := range g.items {
			switch r := i.resource.(type) {
			case *plan.Rule:
				k.routes[r.Route] = true
			case *plan.Policy:
				k.policies[r.Name] = true
			case *plan.Backend:
				k.backends[r.Name] = true
			case *plan.Secret:
				k.secrets[r.Name] = true
			}
		}
		g.has = k
	})
	return g.has
}

// only leaves of a report what names something of the proxy's own Gateway. A name that is not there by now is left out too.
func (k *vocabulary) only(r *report.Report) {
	r.Denials = slices.DeleteFunc(r.Denials, func(d report.Denial) bool {
		return d.Route != "" && !k.routes[d.Route] || d.Policy != "" && !k.policies[d.Policy]
	})
	r.Backends = slices.DeleteFunc(r.Backends, func(b report.Backend) bool { return !k.backends[b.Name] })
	r.Expiries = slices.DeleteFunc(r.Expiries, func(e report.Expiry) bool { return !k.secrets[e.Secret] })
}

// reporting counts the streams of reports, and numbers them.
type reporting struct {
	mu      sync.Mutex
	last    uint64
	streams map[string]int // by Gateway
}

func (r *reporting) join(gateway string, most int) (stream uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams[gateway] >= most {
		return 0, false
	}
	r.last++
	r.streams[gateway]++
	return r.last, true
}

func (r *reporting) leave(gateway string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams[gateway]--; r.streams[gateway] == 0 {
		delete(r.streams, gateway)
	}
}

// takeReports hears one proxy. It reads no faster than it should be told, and what is not read holds up the proxy's report
// alone.
func (s *Server) takeReports(stream grpc.ServerStream) error {
	gateway, err := s.authenticate(stream.Context())
	if err != nil {
		return err
	}
	most := s.most(gateway)
	number, ok := s.reporting.join(gateway, most)
	if !ok {
		return s.tooMany(gateway, most)
	}
	defer s.reporting.leave(gateway)
	defer s.config.Reported(gateway, number, nil)
	for {
		var message wrapperspb.BytesValue
		if err := stream.RecvMsg(&message); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		r, err := report.Decode(message.GetValue())
		if err != nil {
			s.config.Logger.Warn("proxy refused: its report cannot be read", "gateway", gateway, "error", cut(err.Error()))
			return status.Error(codes.InvalidArgument, "the report cannot be read")
		}
		if g, _ := s.current(gateway); g != nil {
			g.known().only(r)
			s.config.Reported(gateway, number, r)
		}
		if !pause(stream.Context(), s.config.ReportPause) {
			return stream.Context().Err()
		}
	}
}

// pause reports whether the time has passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// report sends the proxy's reports over a connection until that ends, and nothing of the traffic waits for it.
func (c *Client) report(ctx context.Context, conn *grpc.ClientConn) {
	for ctx.Err() == nil {
		err := c.reportOnce(ctx, conn)
		if ctx.Err() != nil {
			return
		}
		c.config.Logger.Info("the controller takes no reports", "error", err)
		if status.Code(err) == codes.Unimplemented || !pause(ctx, reportRetry) {
			return
		}
	}
}

func (c *Client) reportOnce(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &reportsService.Streams[0], "/"+strings.Join([]string{reportsName, reportsStream}, "/"))
	if err != nil {
		return err
	}
	var last []byte
	for pause(ctx, c.config.ReportEvery) {
		r := c.config.Report()
		text, err := r.Encode()
		if err != nil {
			return err
		}
		if len(r.Denials) == 0 && r.Uncounted == 0 && bytes.Equal(text, last) {
			continue // the Server has it
		}
		if err := stream.SendMsg(wrapperspb.Bytes(text)); errors.Is(err, io.EOF) {
			return stream.RecvMsg(&wrapperspb.BytesValue{}) // it tells the reason
		} else if err != nil {
			return err
		}
		last = text
	}
	return ctx.Err()
}

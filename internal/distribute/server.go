package distribute

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/report"
)

const (
	authenticateTime = 10 * time.Second // for one judgement of a token
	connectTime      = 10 * time.Second // for a connection's handshakes
	connectionAge    = 30 * time.Minute // after which a proxy has to show its token again
	connectionGrace  = 10 * time.Second
	idleTime         = 15 * time.Second // of a connection without a stream: who shows no token takes nobody's place for long
	keepaliveTime    = 30 * time.Second // of silence, before the other side is asked whether it is there
	keepaliveTimeout = 10 * time.Second // for its answer
	keepaliveMin     = 10 * time.Second // between a proxy's own such questions
	maxHeaders       = 32 << 10
	maxConnStreams   = 4 // of one connection
	maxConnections   = 4096
)

// ServerConfig is what a Server is made of.
type ServerConfig struct {
	TLS *tls.Config // the Server's certificate; without it there is no Server

	// Authenticate says which Gateway, as namespace/name, the bearer of a token is a proxy of.
	Authenticate func(ctx context.Context, token string) (gateway string, err error)

	// Changed is told of a Gateway for which Acknowledged may say something else now. Between the end of a proxy's
	// connection and its next one, which every half hour brings, the proxy is not counted. It must not block. May be nil.
	Changed func(gateway string)

	// Reported is told what a proxy of a Gateway reports, of the Gateway's own routes, policies and backends alone; a stream
	// is one proxy's, and nil is its end. It must not block. Nil: no reports are taken.
	Reported func(gateway string, stream uint64, r *report.Report)

	// Proxies is how many proxies of a Gateway there may be at once; 0, or nil: as many as Streams says.
	Proxies func(gateway string) int

	Logger      *slog.Logger
	Streams     int           // proxies of one Gateway at once; 0: 256
	ReportPause time.Duration // after a report, before the same proxy's next is read; 0: 1 s
}

// Server sends the proxies of every Gateway what the newest plan has for it.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	config    ServerConfig
	grpc      *grpc.Server
	reporting reporting

	publishing sync.Mutex // one Publish at a time
	last       *plan.Plan // that was published
	encoder    encoder

	roster *roster

	refused, crowds complaints // of proxies without a token that counts, and of those that are too many

	mu        sync.Mutex
	number    uint64        // of the newest generation
	published chan struct{} // closed by the next Publish
	begun     bool          // there was a Publish
	newest    map[string]*generation
	streams   map[string][]*stream // by Gateway
	open      map[string]int       // streams of either kind, by Gateway

	byWorkload map[string]bool // Gateways that know clients by workloads
}

// NewServer makes a Server that has nothing to send until its first Publish.
func NewServer(c ServerConfig) (*Server, error) {
	if c.TLS == nil || c.Authenticate == nil {
		return nil, errors.New("distribute: TLS and Authenticate are needed")
	}
	if c.Streams == 0 {
		c.Streams = defaultStreams
	}
	if c.Proxies == nil {
		c.Proxies = func(string) int { return 0 }
	}
	if c.Changed == nil {
		c.Changed = func(string) {}
	}
	if c.ReportPause == 0 {
		c.ReportPause = reportPause
	}
	s := &Server{config: c, reporting: reporting{streams: map[string]int{}}, published: make(chan struct{}), newest: map[string]*generation{}, streams: map[string][]*stream{}, open: map[string]int{}, roster: newRoster(), refused: complaints{now: time.Now}, crowds: complaints{now: time.Now}}
	s.grpc = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(c.TLS)), grpc.ConnectionTimeout(connectTime), grpc.WaitForHandlers(true),
		grpc.MaxRecvMsgSize(maxRequest), grpc.MaxSendMsgSize(maxMessage), grpc.MaxConcurrentStreams(maxConnStreams), grpc.MaxHeaderListSize(maxHeaders),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: idleTime, MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: connectionGrace,
			Time: keepaliveTime, Timeout: keepaliveTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveMin}),
	)
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(s.grpc, s)
	if c.Reported != nil {
		s.grpc.RegisterService(&reportsService, s)
	}
	return s, nil
}

// Serve takes connections from a listener, which it closes, until Close.
func (s *Server) Serve(listener net.Listener) error {
	if err := s.grpc.Serve(netutil.LimitListener(listener, maxConnections)); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// Close ends every stream and returns when all have ended.
func (s *Server) Close() { s.grpc.Stop() }

// Publish makes a plan the newest. A Gateway of whose part nothing has changed gets no new generation. After an error the
// former plan stays the newest.
func (s *Server) Publish(p *plan.Plan) error {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	if s.last != nil && unchanged(s.last, p) {
		return nil
	}
	ix := index(p)
	s.encoder.begin()
	defer s.encoder.end()
	parts := make(map[string][]*item, len(p.Gateways))
	for _, g := range p.Gateways {
		items, err := s.encoder.encodeAll(ix.part(g.Name))
		if err != nil {
			return fmt.Errorf("publish plan: gateway %s: %w", g.Name, err)
		}
		parts[g.Name] = items
	}
	for _, err := range s.encoder.unsent {
		s.config.Logger.Error("a resource cannot be sent: proxies keep what they have of it, or deny", "error", err)
	}
	byWorkload := map[string]bool{}
	for _, g := range p.Gateways {
		byWorkload[g.Name] = g.PodAddress || g.Token != nil
	}
	for _, gateway := range s.put(parts, byWorkload) {
		s.config.Changed(gateway)
	}
	s.last = p
	return nil
}

// unchanged reports whether two plans are of the same resources, each at its place, as they are where only a status was
// written, or an object changed that nothing of ours names.
func unchanged(a, b *plan.Plan) bool {
	return slices.Equal(a.Gateways, b.Gateways) && slices.Equal(a.Rules, b.Rules) && slices.Equal(a.Backends, b.Backends) &&
		slices.Equal(a.Policies, b.Policies) && slices.Equal(a.Secrets, b.Secrets)
}

// put makes the generations of the parts that have changed, and tells whose they are.
func (s *Server) put(parts map[string][]*item, byWorkload map[string]bool) (changed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := make(map[string]*generation, len(parts))
	for gateway, items := range parts {
		newest[gateway] = s.newest[gateway]
		if g := newest[gateway]; g == nil || !g.same(items) {
			s.number++
			newest[gateway] = &generation{number: s.number, items: items, digest: digest(items)}
			changed = append(changed, gateway)
		}
	}
	for gateway := range s.newest {
		if newest[gateway] == nil {
			changed = append(changed, gateway)
		}
	}
	s.newest, s.begun, s.byWorkload = newest, true, byWorkload
	close(s.published)
	s.published = make(chan struct{})
	return changed
}

// none is for a Gateway that the plan has not.
var none = &generation{digest: digest(nil)}

// current is the newest generation of a Gateway, nil before the first Publish, and what is closed when there may be
// another.
func (s *Server) current(gateway string) (*generation, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.newest[gateway]
	if g == nil && s.begun {
		g = none
	}
	return g, s.published
}

// Rejection is a resource that a proxy could not take, or without a name a plan that it could not put in force whole.
type Rejection struct {
	Resource string `json:"resource,omitempty"` // kind and plan name: "policy/EgressPolicy/ai/chat"
	Message  string `json:"message"`
}

// Acknowledgement is how far a Gateway's proxies are.
type Acknowledgement struct {
	Connected    int
	Acknowledged int         // of these have the newest generation in force whole
	Rejections   []Rejection // of the newest generation, each once
}

// Acknowledged tells how far a Gateway's proxies are.
func (s *Server) Acknowledged(gateway string) Acknowledgement {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.streams[gateway]
	a := Acknowledgement{Connected: len(list)}
	newest := s.newest[gateway]
	for _, st := range list {
		switch {
		case newest == nil || st.answered != newest:
		case !st.rejected:
			a.Acknowledged++
		default:
			for _, r := range st.rejections {
				if !slices.Contains(a.Rejections, r) {
					a.Rejections = append(a.Rejections, r)
				}
			}
		}
	}
	return a
}

// enter counts a stream of either kind in, unless its Gateway has too many; leaving it is for exit.
func (s *Server) enter(gateway string, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[gateway] >= 2*most {
		return false
	}
	s.open[gateway]++
	return true
}

func (s *Server) exit(gateway string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[gateway]--; s.open[gateway] == 0 {
		delete(s.open, gateway)
	}
}

// join counts a stream in, unless its Gateway has too many.
func (s *Server) join(st *stream, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.streams[st.gateway]) >= most {
		return false
	}
	s.streams[st.gateway] = append(s.streams[st.gateway], st)
	return true
}

func (s *Server) leave(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(s.streams[st.gateway]), func(o *stream) bool { return o == st })
	if s.streams[st.gateway] = list; len(list) == 0 {
		delete(s.streams, st.gateway)
	}
}

// answer notes what a proxy says of a generation.
func (s *Server) answer(st *stream, g *generation, rejected bool, rejections []Rejection) {
	s.mu.Lock()
	st.answered, st.rejected, st.rejections = g, rejected, rejections
	s.mu.Unlock()
	s.config.Changed(st.gateway)
}

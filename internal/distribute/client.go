package distribute

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/report"
)

const (
	defaultBackoff    = 250 * time.Millisecond
	defaultMaxBackoff = 15 * time.Second
	// A Service leads for a moment to a controller that is gone, from which nothing comes back: gRPC would wait 20 s.
	defaultConnect = 5 * time.Second
	maxFile        = 1 << 20 // bytes of the token's and the CA's file
)

// ClientConfig is what a Client is made of.
type ClientConfig struct {
	Address    string // host:port of the controller
	ServerName string // that its certificate must carry; empty: Address's host
	CA         string // file with the certificates that may have signed it, in PEM
	Token      string // file with the bearer token; read, as CA is, for each connection

	// Configs makes a kind of policy's empty config; nil for a kind that is not known.
	Configs func(kind string) any

	// Update puts a plan in force. Unchanged resources have the pointers that they had in the plan before. An error says
	// what of the plan could not be put in force: the controller is told, and the plan is the newest all the same.
	Update func(ctx context.Context, p *plan.Plan) error

	// Report is what the proxy has to tell since it was asked last; nil: it tells nothing. It is asked while there is a
	// connection, and what it returned may be lost with that.
	Report      func() *report.Report
	ReportEvery time.Duration // 0: 5 s

	// Workloads takes the workloads that have come or changed and, as nil, those that have gone, by name; where whole is
	// true they are all that there are. It must not block. Nil: they are not asked for.
	Workloads func(changed map[string]*plan.Workload, whole bool)

	Logger *slog.Logger

	Backoff    time.Duration // before the second try to connect, doubled for each further one; 0: 250 ms
	MaxBackoff time.Duration // 0: 15 s
	Connect    time.Duration // that one try to connect may take, its handshake included; 0: 5 s
}

// Client keeps a proxy at the newest plan of its Gateway.
type Client struct {
	config  ClientConfig
	key     string // for Secrets' versions
	holding *holding
	taken   bool  // a generation was
	refused error // by Update
	ready   atomic.Bool
}

// NewClient makes a Client, which does nothing until Run.
func NewClient(c ClientConfig) (*Client, error) {
	if c.Address == "" || c.CA == "" || c.Token == "" || c.Configs == nil || c.Update == nil {
		return nil, errors.New("distribute: Address, CA, Token, Configs and Update are needed")
	}
	if c.Backoff == 0 {
		c.Backoff = defaultBackoff
	}
	if c.ReportEvery == 0 {
		c.ReportEvery = defaultReportEvery
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = defaultMaxBackoff
	}
	if c.Connect == 0 {
		c.Connect = defaultConnect
	}
	return &Client{config: c, key: rand.Text(), holding: newHolding(c.Configs)}, nil
}

// Ready reports whether a first plan with the proxy's Gateway is in force. It stays so while the controller is away.
func (c *Client) Ready() bool { return c.ready.Load() }

// Run connects, and connects again whenever that ends, until ctx does.
func (c *Client) Run(ctx context.Context) {
	wait := c.config.Backoff
	for ctx.Err() == nil {
		progressed, err := c.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		level := slog.LevelWarn
		if progressed { // as every half hour
			wait, level = c.config.Backoff, slog.LevelInfo
		}
		delay := wait/2 + mathrand.N(wait/2+1)
		c.config.Logger.Log(ctx, level, "no connection to the controller", "served", c.served(), "address", c.config.Address, "error", err, "again_in", delay)
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
		wait = min(2*wait, c.config.MaxBackoff)
	}
}

// served says what is, while nothing new comes.
func (c *Client) served() string {
	if c.taken {
		return "the last plan"
	}
	return "nothing: no plan has come yet"
}

// connect serves one connection until it ends; progressed says that a generation came whole.
func (c *Client) connect(ctx context.Context) (progressed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	defer c.holding.drop()
	settings, token, err := c.credentials()
	if err != nil {
		return false, err
	}
	conn, err := grpc.NewClient(c.config.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(settings)), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxRequest)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithMaxHeaderListSize(maxHeaders),
		// It is longer than the first pause of Backoff, which would otherwise be the bound; there is no second try.
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: time.Millisecond, MaxDelay: time.Millisecond}, MinConnectTimeout: c.config.Connect}),
	)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }() // it fails only where it is closed
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return false, err
	}
	err = stream.Send(&discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: c.key}, TypeUrl: typeURL, InitialResourceVersions: c.holding.versions(),
	})
	if err != nil && !errors.Is(err, io.EOF) { // of which Recv tells the reason
		return false, err
	}
	if c.config.Report != nil {
		beside.Go(func() { c.report(ctx, conn) })
	}
	if c.config.Workloads != nil {
		beside.Go(func() { c.hear(ctx, conn) })
	}
	for {
		message, err := stream.Recv()
		if err != nil {
			return progressed, err
		}
		end, err := c.holding.add(message)
		if err != nil {
			return progressed, err
		}
		if end == nil {
			continue
		}
		answer, err := c.finish(ctx, end, message.GetSystemVersionInfo())
		if err != nil {
			return progressed, err
		}
		progressed = true
		answer.TypeUrl, answer.ResponseNonce = typeURL, message.GetNonce()
		if err := stream.Send(answer); err != nil && !errors.Is(err, io.EOF) {
			return progressed, err
		}
	}
}

// finish takes a generation that has come whole, and makes the answer to it.
func (c *Client) finish(ctx context.Context, end *manifest, generation string) (*discoveryv3.DeltaDiscoveryRequest, error) {
	came := len(c.holding.draft)
	unchanged := came == 0 && c.taken && c.refused == nil
	p, rejections, err := c.holding.finish(end)
	if err != nil {
		return nil, err
	}
	for _, r := range rejections {
		c.config.Logger.Error("resource rejected: what was read of it before keeps serving", "generation", cut(generation), "resource", cut(r.Resource), "error", cut(r.Message))
	}
	answer := &discoveryv3.DeltaDiscoveryRequest{}
	switch {
	case p == nil:
		c.config.Logger.Error("generation rejected", "served", c.served(), "generation", cut(generation))
	case unchanged:
		c.config.Logger.Info("the plan in force is the newest", "generation", cut(generation))
	default:
		c.taken = true
		c.config.Logger.Info("plan taken", "generation", cut(generation), "changed", came, "rules", len(p.Rules))
		if c.refused = c.config.Update(ctx, p); len(p.Gateways) > 0 {
			c.ready.Store(true)
		}
	}
	if p != nil && c.refused != nil {
		rejections = append(rejections, Rejection{Message: c.refused.Error()})
	}
	if len(rejections) > 0 {
		answer.ErrorDetail = writeRejections(rejections)
	}
	return answer, nil
}

// credentials are read from their files.
func (c *Client) credentials() (*tls.Config, string, error) {
	bundle, err := read(c.config.CA)
	if err != nil {
		return nil, "", fmt.Errorf("read the controller's CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, "", fmt.Errorf("read the controller's CA: %s: no certificate in it", c.config.CA)
	}
	text, err := read(c.config.Token)
	if err != nil {
		return nil, "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, "", fmt.Errorf("read the token: %s: it holds none", c.config.Token)
	}
	return &tls.Config{RootCAs: roots, ServerName: c.config.ServerName, MinVersion: tls.VersionTLS13}, token, nil
}

func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	return io.ReadAll(io.LimitReader(f, maxFile))
}

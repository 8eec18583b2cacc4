package grpcecho

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

const (
	maxMessage = 16 << 20
	maxCalls   = 4096 // that are kept
)

// Config is what a server is.
type Config struct {
	Certificate tls.Certificate // none: plain, by prior knowledge
}

// Call is what was seen of one call.
type Call struct {
	Path      string
	Authority string
	Metadata  metadata.MD
	Timeout   time.Duration // what of its deadline was left when it came; zero: it has none
	Messages  [][]byte
	Over      bool
	Code      codes.Code // how it ended
	Cause     error      // of its context: why it ended before its time
}

// Server is a running far side.
type Server struct {
	server   *grpc.Server
	listener net.Listener
	secure   bool
	served   chan struct{}

	mu      sync.Mutex
	changed chan struct{}
	calls   []*Call
}

// New starts one on a free port of 127.0.0.1.
func New(config Config) (*Server, error) {
	var listening net.ListenConfig
	listener, err := listening.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start gRPC server: %w", err)
	}
	s := &Server{listener: listener, secure: len(config.Certificate.Certificate) > 0, served: make(chan struct{}), changed: make(chan struct{})}
	options := []grpc.ServerOption{grpc.ForceServerCodecV2(codec{}), grpc.MaxRecvMsgSize(maxMessage), grpc.WaitForHandlers(true)}
	if s.secure {
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&config.Certificate)))
	}
	s.server = grpc.NewServer(options...)
	s.server.RegisterService(s.service(), nil)
	go func() {
		defer close(s.served)
		_ = s.server.Serve(listener) // ends at Close
	}()
	return s, nil
}

// Addr is the host and port that it listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends every call and waits until nothing runs.
func (s *Server) Close() error {
	s.server.Stop()
	<-s.served
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Drain stops listening and tells clients with GOAWAY to go elsewhere; calls under way come to their end, which it waits for.
func (s *Server) Drain() { s.server.GracefulStop() }

// Calls are the calls in the order they came in, the first 4,096.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Call, len(s.calls))
	for i, c := range s.calls {
		list[i] = *c
		list[i].Messages = slices.Clone(c.Messages)
	}
	return list
}

// WaitOver waits for the nth call, from 1, to be over, and returns it.
func (s *Server) WaitOver(ctx context.Context, n int) (Call, error) {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		calls := s.Calls()
		if len(calls) >= n && calls[n-1].Over {
			return calls[n-1], nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Call{}, fmt.Errorf("wait for call %d of %d: %w", n, len(calls), context.Cause(ctx))
		}
	}
}

func (s *Server) begin(ctx context.Context, path string, md metadata.MD) *Call {
	c := &Call{Path: path, Authority: strings.Join(md.Get(":authority"), ", "), Metadata: md.Copy(), Timeout: timeout(ctx)}
	s.change(func() {
		if len(s.calls) < maxCalls {
			s.calls = append(s.calls, c)
		}
	})
	return c
}

func (s *Server) change(alter func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	alter()
	close(s.changed)
	s.changed = make(chan struct{})
}

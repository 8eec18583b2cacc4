// Package provider emulates AI providers over TLS, HTTP/1.1 and HTTP/2: OpenAI, Anthropic, Gemini and Bedrock. An emulator
// checks what it is sent as the provider would (path, key, headers, required fields), answers in the provider's shapes,
// plain or streamed, so that the official SDKs work with it, counts the inferences it ran, and fails on demand at any point of the exchange.
//
// The answer quotes the last user message and usage counts words, so that tests know both beforehand. It runs no model,
// calls no tools, looks at no images, and refuses with the provider's own error what it does not emulate. The built-in
// demo and tests call it.
//
//	openai, err := provider.New(provider.Config{Kind: provider.OpenAI, Key: "sk-demo", Certificate: leaf})
//	defer openai.Close()
package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxBody     = 32 << 20 // of a request, as Anthropic has it
	headTimeout = time.Minute
)

// Kind is whose API is emulated.
type Kind string

// The providers.
const (
	OpenAI    Kind = "OpenAI"
	Anthropic Kind = "Anthropic"
	Gemini    Kind = "Gemini"
	Bedrock   Kind = "Bedrock" // ConverseStream and Converse
)

// Config is what an emulator is. Kind, Key and Certificate are required.
type Config struct {
	Kind        Kind
	Key         string // what a caller must present
	Certificate tls.Certificate
	Address     string        // to listen on; empty is a free port of 127.0.0.1
	Models      []string      // that exist; empty: any that is asked for
	Pace        time.Duration // between the words of a streamed answer
	Ledger      *Ledger       // witness of what is inferred for whom, shared with other emulators; nil is one of its own
	Rejection   int           // status for a wrong key; zero is 401. The real Gemini answers 400 to one

	Watch func(http.Handler) http.Handler // stands before the emulator and sees what comes and goes; nil is nobody
}

// Provider is a running emulator.
type Provider struct {
	config     Config
	dialect    dialect
	listener   net.Listener
	server     *http.Server
	stop       context.CancelFunc
	served     chan struct{}
	key        atomic.Pointer[[sha256.Size]byte]
	executions atomic.Int64
	rejections atomic.Int64
	aborted    atomic.Int64
	fail       atomic.Pointer[func(*http.Request) Fault]

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // one a request; grows only while not closed
}

// New starts an emulator.
func New(config Config) (*Provider, error) {
	p := &Provider{config: config, served: make(chan struct{})}
	switch {
	case config.Key == "":
		return nil, errors.New("start provider emulator: Key is empty")
	case len(config.Certificate.Certificate) == 0:
		return nil, errors.New("start provider emulator: Certificate is empty")
	case config.Kind == OpenAI:
		p.dialect = openAI()
	case config.Kind == Anthropic:
		p.dialect = anthropic()
	case config.Kind == Gemini:
		p.dialect = gemini()
	case config.Kind == Bedrock:
		p.dialect = bedrock()
	default:
		return nil, fmt.Errorf("start provider emulator: no kind %q", config.Kind)
	}
	if config.Ledger == nil {
		p.config.Ledger = new(Ledger)
	}
	p.SetKey(config.Key)
	address := config.Address
	if address == "" {
		address = "127.0.0.1:0"
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("start provider emulator: %w", err)
	}
	p.listener = listener
	p.serve()
	return p, nil
}

func (p *Provider) serve() {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	var handler http.Handler = p
	if p.config.Watch != nil {
		handler = p.config.Watch(p)
	}
	p.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headTimeout,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{p.config.Certificate}},
		ErrorLog:          log.New(io.Discard, "", 0), // failed handshakes are their clients' to report
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	go func() {
		defer close(p.served)
		_ = p.server.ServeTLS(p.listener, "", "") // ends with ErrServerClosed, at Close
	}()
}

// Addr is the host and port that it listens on.
func (p *Provider) Addr() string { return p.listener.Addr().String() }

// URL is the base under which the API's paths stand, without a slash at the end.
func (p *Provider) URL() string { return "https://" + p.Addr() }

// Executions is how many inferences were run: requests that passed every check, whether or not their answer arrived.
func (p *Provider) Executions() int64 { return p.executions.Load() }

// Executed is how many inferences were run for the request of this name in its LedgerField, by all emulators that share
// the Ledger.
func (p *Provider) Executed(id string) int { return p.config.Ledger.Executed(id) }

// Rejections is how many requests were refused.
func (p *Provider) Rejections() int64 { return p.rejections.Load() }

// Aborted is how many streamed answers lost their client before the end.
func (p *Provider) Aborted() int64 { return p.aborted.Load() }

// SetKey changes the key that the next requests must present.
func (p *Provider) SetKey(key string) {
	sum := sha256.Sum256([]byte(key))
	p.key.Store(&sum)
}

// Close stops listening, ends what is under way and waits for it.
func (p *Provider) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	err := p.server.Close()
	<-p.served
	p.running.Wait()
	return err
}

func (p *Provider) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.running.Add(1)
	}
	return !p.closed
}

// ServeHTTP answers a request as the provider would.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		return
	}
	defer p.running.Done()
	c := &call{provider: p, w: w, r: r, id: "req_" + rand.Text()}
	w.Header().Set("X-Request-Id", c.id)
	w.Header().Set("Request-Id", c.id)
	err := p.handle(c)
	if err == nil {
		return
	}
	var refused *failure
	if !errors.As(err, &refused) {
		refused = &failure{status: http.StatusInternalServerError, kind: "api_error", message: "The answer could not be made."}
	}
	if !c.executed {
		p.rejections.Add(1)
	}
	c.executed = false // what follows is the failure itself
	if refused.retryAfter != "" {
		w.Header().Set("Retry-After", refused.retryAfter)
	}
	if p.dialect.label != nil {
		p.dialect.label(w.Header(), refused)
	}
	c.json(refused.status, p.dialect.explain(refused, c.id))
}

func (p *Provider) handle(c *call) error {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &failure{status: http.StatusRequestEntityTooLarge, kind: "request_too_large", message: "Request exceeds the maximum size."}
	case err != nil:
		return invalid("", "The request's body is cut short.")
	}
	c.body = body
	run, err := p.dialect.route(c.r.Method, c.r.URL.EscapedPath())
	if err != nil {
		return err
	}
	if err := p.authenticate(p.dialect.keys(c.r.Header)); err != nil {
		return err
	}
	c.fault = p.fault(c.r)
	return run(c)
}

// authenticate takes exactly one key: a second one is a client's own that should have been removed.
func (p *Provider) authenticate(keys []string) error {
	if len(keys) == 0 {
		return &failure{status: http.StatusUnauthorized, kind: "authentication_error", message: "You didn't provide an API key."}
	}
	sum := sha256.Sum256([]byte(keys[0])) // hashed, so that not even the length shows in the time taken
	if len(keys) == 1 && subtle.ConstantTimeCompare(sum[:], p.key.Load()[:]) == 1 {
		return nil
	}
	status := p.config.Rejection
	if status == 0 {
		status = http.StatusUnauthorized
	}
	return &failure{
		status: status, kind: "authentication_error", code: "invalid_api_key",
		message: "Incorrect API key provided: " + mask(keys[0]) + ".",
	}
}

// mask keeps both ends of a key, as OpenAI's error does. That is why what a provider says of a credential must not
// reach a client, and why every kind of emulator says it.
func mask(key string) string {
	if len(key) < 12 {
		return "****"
	}
	return key[:3] + "****" + key[len(key)-4:]
}

func (p *Provider) knows(model string) bool {
	return len(p.config.Models) == 0 || slices.Contains(p.config.Models, model)
}

// Package observe is what is seen of traffic: the access log, the audit log, metrics, and the handlers behind which
// health, metrics and the admin pages are served.
//
// It decides nothing and refuses nothing: a log that cannot be written is dropped and counted, never a reason to hold
// traffic. It opens no file and no port, traces nothing and knows no policy kind. proxy calls Observer.End once for
// every exchange and Observer.AuditBody where a provider rejected a credential; cmd gives the writers, binds the
// handlers and tells of reloads.
//
// # Access log
//
// One JSON object a line and an exchange: time (RFC 3339 with milliseconds, UTC, of the request's start), request_id,
// client {address, cluster, namespace, service_account, workload, pod, spiffe_id, source}, gateway, listener, route, rule, backend,
// method, authority, path, protocol, status, grpc_status, reason, policy, field, detail, mirrored, reported [{reason,
// policy, field, detail}], attempts [{backend, address, reused, status, protocol, class, reason, detail, written,
// duration_ms, credential}], bytes_in, bytes_out, first_byte_ms, duration_ms, aborted, user_agent. Of text and lists
// what is empty is left out; numbers always stand. The path comes without its query, because queries hold keys; of the
// headers User-Agent, and Grpc-Status of what answers a gRPC call, alone are logged.
//
// # Audit log
//
// One JSON object a line and an event, written whether or not there is an access log: event, time, request_id, client,
// gateway, route, backend, address, policy, field, reason, status, method, authority, path, credential. The events:
//   - denied: a policy refused, or the engine for one of the reasons of denied; the request, or one attempt of it
//   - would_deny: a policy in mode Report would have refused
//   - credential_used: an attempt carried a credential; credential is its CredentialInjector's name
//   - provider_body: what a provider said to a rejected credential, in body and body_bytes
//
// In both, text is cut at a bound, which a closing "…" shows, and whatever does not print is escaped. Lines are whole;
// their order is only roughly that of time.
package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// Defaults of a Config.
const (
	defaultMaxSeries     = 2000
	defaultAccessBuffer  = 4 << 20
	defaultAuditBuffer   = 4 << 20
	defaultAuditPatience = 250 * time.Millisecond
)

// minSeries leaves room for one label set as it is, one without its client, and one for all else.
const minSeries = 3

// How often buffered lines are written out at the latest.
const (
	accessEvery = 200 * time.Millisecond
	auditEvery  = 50 * time.Millisecond
)

// Config is what an Observer is made of. A writer given as both Access and Audit must bear concurrent calls, as
// *os.File does; each call to it carries whole lines.
type Config struct {
	Access  io.Writer    // nil: no access log
	Audit   io.Writer    // required: the audit log is always on
	Logger  *slog.Logger // told of dropped lines, at most once a minute and log; nil: nobody is
	Version string       // of ebbgate_build_info

	MaxSeries   int          // bound of label sets in metrics; 0: 2,000; at least 3
	Connections func() int64 // open downstream connections, for the gauge; nil: no gauge
	// Denied is told of each denial that the audit log has as such; the strings may be of memory that is used again. It must
	// not block. Nil: nobody is.
	Denied func(route, policy string, reason exchange.Reason)
	// Handshakes gives the counts of refused handshakes with clients, each pair of labels once; nil: no counter.
	Handshakes func(yield func(socket, reason string, n int64))
	// Limits gives how often clients have reached each bound of their connections, each pair of labels once; nil: no counter.
	Limits func(yield func(socket, limit string, n int64))
	// Pressure is how little memory is left, from 0 to 3; nil: no gauge.
	Pressure func() int
	// Backends tells how the backends of each Gateway stand, each once; nil: no metrics of them.
	Backends func(yield func(Backend))

	AccessBuffer  int           // bytes of lines that may wait for a slow writer, which holds an eighth more; 0: 4 MiB
	AuditBuffer   int           // the same for the audit log; 0: 4 MiB
	AuditPatience time.Duration // how long an exchange's end waits for room in the audit log before its lines are dropped; 0: 250 ms
}

// Observer writes the logs and counts. It is safe for concurrent use.
type Observer struct {
	denied   func(route, policy string, reason exchange.Reason)
	access   *stream // nil: off
	audit    *stream
	metrics  *metrics
	registry *prometheus.Registry
	scrape   http.Handler
}

// New makes an Observer and starts its writers; Close ends them.
func New(c Config) (*Observer, error) {
	if c.Audit == nil {
		return nil, errors.New("make observer: no writer for the audit log, which is always on")
	}
	if c.AccessBuffer < 0 || c.AuditBuffer < 0 || c.AuditPatience < 0 {
		return nil, errors.New("make observer: negative bound")
	}
	if c.MaxSeries != 0 && c.MaxSeries < minSeries {
		return nil, fmt.Errorf("make observer: MaxSeries is %d and must be %d at least", c.MaxSeries, minSeries)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	o := &Observer{registry: prometheus.NewRegistry(), denied: c.Denied}
	if o.denied == nil {
		o.denied = func(string, string, exchange.Reason) {}
	}
	var err error
	if o.metrics, err = newMetrics(o.registry, orDefault(c.MaxSeries, defaultMaxSeries), c); err != nil {
		return nil, fmt.Errorf("make observer: %w", err)
	}
	o.audit = newStream(streamConfig{
		name: "audit", writer: c.Audit, logger: c.Logger, every: auditEvery,
		bound: orDefault(c.AuditBuffer, defaultAuditBuffer), patience: orDefault(c.AuditPatience, defaultAuditPatience),
	})
	if c.Access != nil {
		o.access = newStream(streamConfig{
			name: "access", writer: c.Access, logger: c.Logger, every: accessEvery,
			bound: orDefault(c.AccessBuffer, defaultAccessBuffer),
		})
	}
	for _, s := range o.streams() {
		if err := o.registry.Register(droppedCounter(s)); err != nil {
			return nil, fmt.Errorf("make observer: register dropped lines of the %s log: %w", s.name, err)
		}
	}
	o.scrape = Scrape(o.registry)
	for _, s := range o.streams() {
		s.start()
	}
	return o, nil
}

func orDefault[T int | time.Duration](v, fallback T) T {
	if v == 0 {
		return fallback
	}
	return v
}

// End logs and counts an exchange that is over. It keeps nothing of it and allocates nothing. It waits for nobody but,
// for a bounded time, for room in the audit log.
func (o *Observer) End(x *exchange.Exchange) {
	o.auditEnd(x)
	if o.access != nil {
		buffer := getLine()
		*buffer = appendAccess(*buffer, x)
		o.access.write(*buffer)
		putLine(buffer)
	}
	o.metrics.count(x)
}

// Registerer is where other parts of the process add metrics of their own.
func (o *Observer) Registerer() prometheus.Registerer { return o.registry }

// Retain tells which label sets are still served: keep is asked for each combination of gateway, route and backend that
// traffic was counted of, in the words of Exchange. Route and backend are empty where a request matched none or reached
// none; what keep says of such a one goes too. A label set that is not kept is forgotten once it has been unused for ten
// minutes, at a scrape or at the next Retain; the others' counters stay as they are. keep is called under a lock and must
// not count.
func (o *Observer) Retain(keep func(gateway, route, backend string) bool) {
	o.metrics.traffic.retain(keep, time.Now())
}

// PlanApplied counts a reload that is in force, with the rules it serves.
func (o *Observer) PlanApplied(rules int) {
	o.metrics.applied.Inc()
	o.metrics.rules.Set(float64(rules))
}

// PlanRejected counts a reload that was not taken: the last good plan serves on.
func (o *Observer) PlanRejected() { o.metrics.rejected.Inc() }

// Flush returns once every line of before has been handed to its writer.
func (o *Observer) Flush(ctx context.Context) error {
	var errs []error
	for _, s := range o.streams() {
		errs = append(errs, s.flush(ctx))
	}
	return errors.Join(errs...)
}

// Close flushes and ends the writers; lines that come later are counted as dropped. A writer that still blocks when ctx
// ends is left behind.
func (o *Observer) Close(ctx context.Context) error {
	var errs []error
	for _, s := range o.streams() {
		errs = append(errs, s.close(ctx))
	}
	return errors.Join(errs...)
}

func (o *Observer) streams() []*stream {
	if o.access == nil {
		return []*stream{o.audit}
	}
	return []*stream{o.audit, o.access}
}

// Package reach says in the log that the API server cannot be reached, and that it can be again: one line each, whoever of
// the process asked it. It looks at the requests of all clients on their way (Wrap), and keeps what they would each say of
// the same outage out of the log (Told, Quiet). It repeats no request and decides nothing. cmd wires it; those who watch ask
// Told.
package reach

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const again = time.Minute // between two outages that are told of

// Reach is whether the API server can be reached, as the last request has it. Many may use it at once.
type Reach struct {
	logger *slog.Logger
	now    func() time.Time

	mu   sync.Mutex
	away time.Time // since when; zero: it is not
	told bool      // the log has it
	last time.Time // when it was told
}

// New makes a Reach of which nothing is known yet.
func New(logger *slog.Logger) *Reach { return &Reach{logger: logger, now: time.Now} }

// Wrap is for rest.Config.Wrap.
func (r *Reach) Wrap(next http.RoundTripper) http.RoundTripper { return watcher{r, next} }

type watcher struct {
	reach *Reach
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (w watcher) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := w.next.RoundTrip(request)
	switch {
	case errors.Is(err, context.Canceled): // nobody wants to know
	case err != nil:
		w.reach.failed(err.Error())
	case gone(response.StatusCode):
		w.reach.failed(response.Status)
	default:
		w.reach.answered()
	}
	return response, err
}

// Away reports whether the API server cannot be reached.
func (r *Reach) Away() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.away.IsZero()
}

func (r *Reach) failed(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.away.IsZero() {
		r.away = now
	}
	if !r.told && now.Sub(r.last) >= again {
		r.told, r.last = true, now
		r.logger.Error("the API server cannot be reached: what is known stays", "error", why)
	}
}

func (r *Reach) answered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told {
		r.logger.Info("the API server can be reached again", "after", r.now().Sub(r.away).Round(time.Millisecond))
	}
	r.away, r.told = time.Time{}, false
}

// gone reports whether an answer is that of whoever stands before an API server that is not there, or of one that ends.
func gone(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// Told reports whether an error of a client is that of an outage, which Wrap tells of, or no error at all: watches end from
// time to time.
func Told(err error) bool {
	var status apierrors.APIStatus
	var request *url.Error
	if errors.As(err, &status) {
		return gone(int(status.Status().Code)) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
	}
	return errors.As(err, &request) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Quiet is a handler for what client-go logs on its own: it drops errors and warnings while the API server is away.
func (r *Reach) Quiet(h slog.Handler) slog.Handler { return quiet{h, r} }

type quiet struct {
	slog.Handler
	reach *Reach
}

// Handle implements slog.Handler. An adapter between loggers need not have asked whether the level is enabled.
func (q quiet) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= slog.LevelWarn && q.reach.Away() {
		return nil
	}
	return q.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attrs), q.reach}
}

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name), q.reach} }

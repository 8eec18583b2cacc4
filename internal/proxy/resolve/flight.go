package resolve

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// flight is a query under way, shared by all who ask for the name meanwhile.
type flight struct {
	done   chan struct{}
	answer *answer // set before done is closed
}

// fly joins the entry's query or starts it. No caller's context reaches it.
func (r *Resolver) fly(e *entry) (*flight, error) {
	f := &flight{done: make(chan struct{})}
	for !e.flight.CompareAndSwap(nil, f) {
		if running := e.flight.Load(); running != nil {
			return running, nil
		}
	}
	// Another flight may have landed since the caller looked.
	if a := e.answer.Load(); a != nil && r.now().Before(a.expires) {
		r.land(e, f, a)
		return f, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.land(e, f, &answer{err: &Error{Host: e.name, Err: errClosed}})
		return nil, errClosed
	}
	r.flying.Go(func() {
		ctx, cancel := context.WithTimeout(r.ctx, queryTimeout)
		defer cancel()
		a := r.ask(ctx, e)
		e.answer.Store(a)
		r.land(e, f, a)
	})
	return f, nil
}

func (r *Resolver) land(e *entry, f *flight, a *answer) {
	f.answer = a
	e.flight.Store(nil)
	close(f.done)
}

// ask queries and decides how long what it learnt may be used.
func (r *Resolver) ask(ctx context.Context, e *entry) *answer {
	found, err := r.query(ctx, e.name, &e.dns)
	now := r.now()
	if err == nil {
		expires := now.Add(clamp(found.ttl, e.dns.MinTTL, e.dns.MaxTTL))
		return &answer{
			orders:  rotations(found.v6, found.v4),
			expires: expires,
			stale:   expires.Add(e.dns.ServeStale),
		}
	}
	if errors.Is(err, errNotFound) {
		return &answer{err: &Error{Host: e.name, NotFound: true, Err: err}, expires: now.Add(e.dns.Negative)}
	}
	if old := e.answer.Load(); old != nil && old.err == nil && now.Before(old.stale) {
		r.logger.LogAttrs(ctx, slog.LevelWarn, "name refresh failed, its last answer is served", slog.String("host", e.name), slog.Any("error", err))
		kept := *old
		kept.expires = now.Add(staleRetry)
		if kept.stale.Before(kept.expires) {
			kept.expires = kept.stale
		}
		return &kept
	}
	return &answer{err: &Error{Host: e.name, Err: err}, expires: now.Add(min(e.dns.Negative, failureLife))}
}

// clamp bounds a TTL; an upper bound of zero is none but ours.
func clamp(ttl, low, high time.Duration) time.Duration {
	if high <= 0 {
		high = longestLife
	}
	return min(max(ttl, low), high)
}

package controller

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/ebbgate/ebbgate/internal/report"
	"github.com/ebbgate/ebbgate/internal/translate"
)

const (
	reportsEvery = 5 * time.Second  // Events are written, and health is told, at most so often
	reportsKnown = 30 * time.Second // from the beginning of a lead: by then every proxy has told of its backends
	expiresSoon  = 7 * 24 * time.Hour
	expiryAgain  = time.Hour // after which it is told once more: Kubernetes forgets Events
	maxCauses    = 512       // of a Gateway's denials that wait for their Event
)

// certificateExpires is the reason of an Event that is no denial's; in place of a policy its cause has the Secret.
const certificateExpires = "certificate_expires"

// cause is why there is an Event, at a Gateway by namespace/name.
type cause struct {
	gateway string
	report.Cause
}

// reports merge what the proxies of all Gateways tell. Only the replica that leads hears any.
type reports struct {
	every, known time.Duration

	mu      sync.Mutex
	proxies map[string]map[uint64]*report.Report // the last of each, by Gateway
	expired map[cause]time.Time                  // when it was told of a certificate
	denials map[cause]int64
	causes  map[string]int // of denials, by Gateway
	sure    bool           // what is not there nobody tells
}

func newReports() *reports {
	return &reports{every: reportsEvery, known: reportsKnown, proxies: map[string]map[uint64]*report.Report{}, expired: map[cause]time.Time{}, denials: map[cause]int64{}, causes: map[string]int{}}
}

// take takes a report; nil is a proxy's end. It waits for nobody.
func (r *reports) take(gateway string, stream uint64, told *report.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if told == nil {
		if delete(r.proxies[gateway], stream); len(r.proxies[gateway]) == 0 {
			delete(r.proxies, gateway)
		}
		return
	}
	if r.proxies[gateway] == nil {
		r.proxies[gateway] = map[uint64]*report.Report{}
	}
	r.proxies[gateway][stream] = &report.Report{Backends: told.Backends, Expiries: told.Expiries}
	for _, d := range told.Denials {
		c := cause{gateway, d.Cause}
		_, there := r.denials[c]
		if !there && r.causes[gateway] >= maxCauses { // one Gateway's proxies leave the others' room
			continue
		}
		if !there {
			r.causes[gateway]++
		}
		r.denials[c] += d.Count
	}
}

// denied are the denials since it was asked last.
func (r *reports) denied() map[cause]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	denials := r.denials
	r.denials = map[cause]int64{}
	clear(r.causes)
	return denials
}

// expires are the certificates that proxies have in force and that end soon, or have ended; each once an hour.
func (r *reports) expires(now time.Time) map[cause]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := map[cause]int64{}
	for gateway, proxies := range r.proxies {
		for _, told := range proxies {
			for _, e := range told.Expiries {
				c := cause{gateway, report.Cause{Policy: e.Secret, Reason: certificateExpires}}
				if time.Unix(e.Until, 0).Sub(now) < expiresSoon && now.Sub(r.expired[c]) >= expiryAgain {
					due[c] = 1
				}
			}
		}
	}
	for c := range due {
		r.expired[c] = now
	}
	for c, at := range r.expired {
		if now.Sub(at) > 2*expiryAgain {
			delete(r.expired, c)
		}
	}
	return due
}

// health is how the backends of all Gateways stand, over their proxies; sure says that what is missing nobody tells of.
func (r *reports) health() (all map[translate.Reach]translate.Health, sure bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all = map[translate.Reach]translate.Health{}
	for gateway, proxies := range r.proxies {
		for _, told := range proxies {
			for _, b := range told.Backends {
				at := translate.Reach{Backend: b.Name, Gateway: gateway}
				h := all[at]
				h.Proxies++
				switch {
				case b.Share == 0:
					h.Out++
				case b.Share < 1:
					h.Returning++
				}
				all[at] = h
			}
		}
	}
	return all, r.sure
}

// run has Events written and health told, until ctx ends.
func (r *reports) run(ctx context.Context, write func(ctx context.Context, happened map[cause]int64), changed func()) {
	defer r.forget()
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	known := time.After(r.known)
	last, _ := r.health()
	for {
		select {
		case <-ctx.Done():
			return
		case <-known:
			r.mu.Lock()
			r.sure = true
			r.mu.Unlock()
			changed()
			continue
		case <-ticker.C:
		}
		write(ctx, r.denied())
		write(ctx, r.expires(time.Now()))
		if now, _ := r.health(); !reflect.DeepEqual(last, now) {
			last = now
			changed()
		}
	}
}

// forget is what becomes of it all with the lead.
func (r *reports) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.proxies)
	clear(r.expired)
	clear(r.denials)
	clear(r.causes)
	r.sure = false
}

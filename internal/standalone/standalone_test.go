package standalone

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ebbgate/ebbgate/internal/builtin"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nothing is a source that has no configuration that could be read.
type nothing struct{}

func (nothing) Load(context.Context) (*source.Snapshot, []problem.Problem) {
	return nil, []problem.Problem{{Message: "broken"}}
}
func (nothing) Watch(context.Context, func(*source.Snapshot, []problem.Problem)) error { return nil }

// still is a source that never changes.
type still struct{ snapshot *source.Snapshot }

func (s still) Load(context.Context) (*source.Snapshot, []problem.Problem) { return s.snapshot, nil }

func (still) Watch(ctx context.Context, _ func(*source.Snapshot, []problem.Problem)) error {
	<-ctx.Done()
	return nil
}

func TestABrokenStartIsTold(t *testing.T) {
	var told []problem.Problem
	err := Run(t.Context(), Config{Source: nothing{}, Logger: slog.New(slog.DiscardHandler), Audit: io.Discard, Problems: func(p []problem.Problem) { told = p }})
	if !errors.Is(err, ErrInvalid) || len(told) != 1 {
		t.Errorf("%v, told %v", err, told)
	}
}

func TestNothingToServeIsNoConfiguration(t *testing.T) {
	var told []problem.Problem
	err := Run(t.Context(), Config{
		Source: still{&source.Snapshot{}}, Logger: slog.New(slog.DiscardHandler), Audit: io.Discard, Drain: time.Second,
		Problems: func(p []problem.Problem) { told = p },
	})
	if !errors.Is(err, ErrInvalid) || len(told) != 1 || told[0].Reason != "NothingServed" {
		t.Errorf("%v, told %v", err, told)
	}
}

func TestReadinessFollowsTheProcess(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	snapshot, err := builtin.Snapshot(ctx, builtin.Config{Address: "127.0.0.1", Port: 19873, Schema: schema.New()},
		[]builtin.Service{{Name: "x", Hostname: "x.test", Port: 443, Header: "Authorization", Key: "k"}})
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	var ended sync.WaitGroup
	var failed error
	ended.Go(func() {
		failed = Run(ctx, Config{
			Source: still{snapshot}, Logger: slog.New(slog.DiscardHandler), Audit: io.Discard, Health: "127.0.0.1:19872", Drain: time.Second,
			Ready: func([]string) { close(ready) },
		})
	})
	<-ready
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:19872/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
	stop()
	ended.Wait()
	if failed != nil {
		t.Error(failed)
	}
}

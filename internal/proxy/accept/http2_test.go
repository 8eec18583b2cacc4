package accept

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"

	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
	frames "github.com/ebbgate/ebbgate/internal/testkit/h2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small answers every exchange with a few bytes.
type small struct{}

func (small) TLS(string) (*TLS, bool)     { return nil, true }
func (small) Broken(Client, *http1.Error) {}

func (small) Enter() bool { return true }
func (small) Leave()      {}
func (small) Sheds() bool { return false }

func (small) Connect(netip.AddrPort, func()) Origin { return nil }
func (small) Serve(c Client) {
	res := &c.Common().X.Response
	res.Status, res.Length = 200, 5
	_ = c.Begin(res, []byte("hello"), true)
}

// A client that gives no credit for an answer does not keep its stream for ever, though the exchange is over.
func TestAnAnswerThatNobodyTakes(t *testing.T) {
	sweeper := watch.New()
	defer sweeper.Close()
	s := New(Config{Handler: small{}, Sweeper: sweeper, Logger: slog.New(slog.DiscardHandler)})
	s.h2.take = 50 * time.Millisecond
	const address = "127.0.0.1:0"
	if failed := s.Bind(t.Context(), []string{address}); len(failed) > 0 {
		t.Fatal(failed)
	}
	defer func() {
		if err := s.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	c, err := frames.Dial(t.Context(), s.Addresses()[address].String(), nil, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id, err := c.Open(true, [2]string{":method", "GET"}, [2]string{":scheme", "http"}, [2]string{":authority", "h"}, [2]string{":path", "/"})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := c.Whole(t.Context(), id); err != nil || a.Reset == nil || a.Status() != "200" {
		t.Errorf("%+v, %v", a, err)
	}
}

package forward

import (
	"net/http"
	"net/textproto"
	"sync/atomic"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// informed counts interim answers.
type informed struct {
	accept.Client
	n atomic.Int64
}

func (c *informed) Inform(*exchange.Response) error { c.n.Add(1); return nil }

// Once the wait for an answer is over its client hears nothing more of it.
func TestInterimAnswersEndWithTheWait(t *testing.T) {
	client := new(informed)
	sweeper := watch.New()
	defer sweeper.Close()
	i := interim{call: &Call{Client: client, Watch: sweeper.Add(nil, func(watch.Cause) {})}}
	take := func() {
		t.Helper()
		if err := i.take(http.StatusEarlyHints, textproto.MIMEHeader{"Link": {"</a>"}}); err != nil {
			t.Fatal(err)
		}
	}
	take()
	take()
	i.wait()
	take()
	i.wait()
	if n := client.n.Load(); n != 2 {
		t.Errorf("%d were passed on", n)
	}
}

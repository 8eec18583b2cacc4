package proxy

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// reader is a Body stage that refuses bodies in which it sees a word.
type reader struct {
	bytes int64
	whole bool
}

func (s reader) BodyNeed() (int64, bool) { return s.bytes, s.whole }

func (s reader) Body(_ context.Context, _ *exchange.Exchange, body []byte) *exchange.Refusal {
	if int64(len(body)) > s.bytes {
		return exchange.Refuse(exchange.Internal, "more than was asked for")
	}
	if strings.Contains(string(body), "forbidden") {
		return exchange.Refuse(exchange.RequestNotAllowed, "a word that may not leave")
	}
	return nil
}

// broken panics, as a mistake of ours would.
type broken struct{}

func (broken) Request(context.Context, *exchange.Exchange) *exchange.Refusal {
	panic("a secret of the request's")
}

func TestAPanicEndsOneConnection(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(1)})
	kind := &policy.Kind{
		Name: "Sample", Config: func() any { return new(struct{}) },
		Restrict: func(policy.Env, any) (any, error) { return broken{}, nil },
	}
	r := newRig(t, []*policy.Kind{kind}, service("far", far.Addr()), service("other", far.Addr()))
	r.plan.Policies = []*plan.Policy{{Name: "Sample/t/s", Kind: "Sample", Targets: []plan.Target{{Kind: plan.TargetRule, Name: "HTTPRoute/t/r#0"}}, Config: new(struct{})}}
	r.update()
	c := r.connect()
	defer c.Close()
	if _, err := io.WriteString(c, "GET /0 HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	if res, _ := r.do(http.MethodGet, "/1", ""); res.StatusCode != http.StatusOK || far.Heads() != 1 {
		t.Errorf("the next connection got %s; %d requests left", res.Status, far.Heads())
	}
}

func TestBodyStep(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Echo()})
	sent := 0
	f := func(stage reader, body string, chunked bool, status int) {
		t.Helper()
		kind := &policy.Kind{
			Name: "Sample", Config: func() any { return new(struct{}) },
			Restrict: func(policy.Env, any) (any, error) { return stage, nil },
		}
		r := newRig(t, []*policy.Kind{kind}, service("far", far.Addr()))
		r.plan.Policies = []*plan.Policy{{Name: "Sample/t/s", Kind: "Sample", Targets: []plan.Target{{Kind: plan.TargetGateway, Name: "t/g"}}, Config: new(struct{})}}
		r.update()
		fields := []string{}
		if chunked {
			fields = append(fields, "Transfer-Encoding", "chunked")
		}
		res, answer := r.do(http.MethodPost, "/0", body, fields...)
		if res.StatusCode != status {
			t.Errorf("%+v on %d bytes: %d %.200s", stage, len(body), res.StatusCode, answer)
		}
		if status != http.StatusOK {
			return
		}
		if sent++; len(far.Requests()) != sent || string(far.Requests()[sent-1].Body) != body {
			t.Errorf("%+v on %d bytes: the far side got something else", stage, len(body))
		}
	}
	long := strings.Repeat("0123456789", 20_000)
	for _, chunked := range []bool{false, true} {
		f(reader{10, false}, "short", chunked, 200)
		f(reader{10, false}, "0123456789", chunked, 200)
		f(reader{10, false}, "0123456789 and more", chunked, 200)
		f(reader{10, false}, long, chunked, 200)
		f(reader{100_000, false}, long, chunked, 200)
		f(reader{20, false}, "a forbidden word", chunked, 403)
		f(reader{10, false}, "past the prefix: forbidden", chunked, 200)
		f(reader{10, true}, "0123456789", chunked, 200)
		f(reader{10, true}, "0123456789a", chunked, 413)
		f(reader{1 << 20, true}, long, chunked, 200)
		f(reader{1 << 20, true}, long+"forbidden", chunked, 403)
	}
}

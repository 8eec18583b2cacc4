package campaign

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit/provider"
)

const (
	patience = 30 * time.Second // for an answer; the gateway's own limits are far shorter
	held     = 64 << 10         // bytes of a request that the gateway keeps and can send again
)

var endpoints = provider.Endpoints()

// request is one of the campaign, drawn.
type request struct {
	id       string
	endpoint *provider.Endpoint
	stream   bool
	http2    bool
	body     string
	leaves   time.Duration // after which the client leaves; 0: it stays
}

func (r *request) large() bool { return len(r.body) > held }

func drawRequest(id string, dice *rand.Rand) *request {
	r := &request{id: id, endpoint: &endpoints[dice.IntN(len(endpoints))], stream: dice.IntN(2) == 0, http2: dice.IntN(2) == 0}
	words := 1 + dice.IntN(20)
	if dice.IntN(50) == 0 {
		words *= 10
	}
	padding := ""
	if dice.IntN(40) == 0 {
		padding = strings.Repeat("p", held+dice.IntN(held))
	}
	r.body = r.endpoint.Body(id+strings.Repeat(" wörds", words), r.stream, padding)
	if dice.IntN(100) == 0 {
		r.leaves = time.Duration(1 + dice.IntN(int(20*time.Millisecond)))
	}
	return r
}

// view is what a client saw.
type view struct {
	status  int
	header  http.Header
	body    []byte
	err     error // no head, or the body ended otherwise than its framing says
	problem string
}

// clients are one for each version of HTTP.
type clients [2]*http.Client

func newClients(t *testing.T) *clients {
	var list clients
	for i := range list {
		transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(i == 0)
		transport.Protocols.SetUnencryptedHTTP2(i == 1)
		t.Cleanup(transport.CloseIdleConnections)
		list[i] = &http.Client{Transport: transport}
	}
	return &list
}

// send asks once, whatever comes of it.
func (c *clients) send(ctx context.Context, address string, r *request) view {
	limit := patience
	if r.leaves > 0 {
		limit = r.leaves
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client := c[0]
	if r.http2 {
		client = c[1]
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+r.endpoint.Path(r.stream), strings.NewReader(r.body))
	if err != nil {
		return view{err: err}
	}
	req.GetBody = nil // so that the client never sends it again itself
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {r.id}, "X-Provider": {string(r.endpoint.Kind)}, "Anthropic-Version": {"2023-06-01"},
		provider.LedgerField: {r.id},
	}
	res, err := client.Do(req)
	if err != nil {
		return view{err: err}
	}
	defer res.Body.Close()
	v := view{status: res.StatusCode, header: res.Header}
	v.body, v.err = io.ReadAll(res.Body)
	var document struct{ Reason string }
	if res.Header.Get("Content-Type") == "application/problem+json" && json.Unmarshal(v.body, &document) == nil {
		v.problem = document.Reason
	}
	return v
}

package campaign

import (
	"context"
	"encoding/json"
	"fmt"
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

// endpoint is one way to ask for an inference. %s in bodies is the question, as JSON.
type endpoint struct {
	name      string
	kind      provider.Kind
	plain     string // path
	streamed  string // path; the same where the body says it
	body      string
	asStream  string // what the body has besides for a stream
	ended     string // stands in a streamed answer that is whole
	failed    string // stands in an error event
	delimiter string // between events; empty: they state their length
	loose     bool   // errors within a stream are no events
}

var endpoints = []endpoint{
	{
		name: "OpenAI chat", kind: provider.OpenAI, plain: "/v1/chat/completions", streamed: "/v1/chat/completions",
		body: `"model":"m","messages":[{"role":"user","content":%s}]`, asStream: `,"stream":true`, ended: `"finish_reason":"stop"`, failed: `data: {"error"`, delimiter: "\n\n",
	},
	{
		name: "OpenAI Responses", kind: provider.OpenAI, plain: "/v1/responses", streamed: "/v1/responses",
		body: `"model":"m","input":%s`, asStream: `,"stream":true`, ended: "event: response.completed", failed: "event: error", delimiter: "\n\n",
	},
	{
		name: "Anthropic", kind: provider.Anthropic, plain: "/v1/messages", streamed: "/v1/messages",
		body: `"model":"m","max_tokens":1000,"messages":[{"role":"user","content":%s}]`, asStream: `,"stream":true`, ended: "event: message_stop", failed: "event: error", delimiter: "\n\n",
	},
	{
		name: "Gemini", kind: provider.Gemini, plain: "/v1beta/models/m:generateContent", streamed: "/v1beta/models/m:streamGenerateContent?alt=sse",
		body: `"contents":[{"parts":[{"text":%s}]}]`, ended: `"finishReason"`, failed: `"error"`, delimiter: "\r\n\r\n", loose: true,
	},
	{
		name: "Bedrock", kind: provider.Bedrock, plain: "/model/m/converse", streamed: "/model/m/converse-stream",
		body: `"messages":[{"role":"user","content":[{"text":%s}]}]`, ended: "messageStop", failed: ":exception-type",
	},
}

// request is one of the campaign, drawn.
type request struct {
	id       string
	endpoint *endpoint
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
	question, _ := json.Marshal(id + strings.Repeat(" wörds", words)) // a string can be written
	fields := fmt.Sprintf(r.endpoint.body, question)
	if r.stream {
		fields += r.endpoint.asStream
	}
	if dice.IntN(40) == 0 {
		fields += `,"padding":"` + strings.Repeat("p", held+dice.IntN(held)) + `"`
	}
	r.body = "{" + fields + "}"
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
	path, client := r.endpoint.plain, c[0]
	if r.stream {
		path = r.endpoint.streamed
	}
	if r.http2 {
		client = c[1]
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+path, strings.NewReader(r.body))
	if err != nil {
		return view{err: err}
	}
	req.GetBody = nil // so that the client never sends it again itself
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {r.id}, "X-Provider": {string(r.endpoint.kind)}, "Anthropic-Version": {"2023-06-01"},
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

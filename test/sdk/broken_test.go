package sdk_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/provider/dialect"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// begun is what streams have said before they break off.
var begun = map[string][]string{
	"/v1/chat/completions": {
		`data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`,
		`data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}`,
	},
	"/v1/responses": {
		"event: response.created\n" + `data: {"type":"response.created","sequence_number":0,"response":{"id":"r","object":"response","status":"in_progress","output":[]}}`,
		"event: response.output_item.added\n" + `data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"i","type":"message","role":"assistant","status":"in_progress","content":[]}}`,
		"event: response.content_part.added\n" + `data: {"type":"response.content_part.added","sequence_number":2,"item_id":"i","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}`,
		"event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","sequence_number":3,"item_id":"i","output_index":0,"content_index":0,"delta":"Hello"}`,
	},
	"/v1/messages": {
		"event: message_start\n" + `data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}`,
		"event: content_block_start\n" + `data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
		"event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}`,
	},
}

// TestBrokenStreams has the official SDKs raise the error by which we end a stream that broke off.
func TestBrokenStreams(t *testing.T) {
	node := command.Node(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const contentType = "text/event-stream; charset=utf-8"
		var s dialect.Stream
		s.Reset(dialect.Of(r.Method, r.URL.Path, contentType, ""))
		events := []byte(strings.Join(begun[r.URL.Path], "\n\n") + "\n\n")
		w.Header().Set("Content-Type", contentType)
		w.Write(events)
		http.NewResponseController(w).Flush()
		for n := 0; len(events) > 0; events = events[n:] {
			n, _ = s.Feed(events)
		}
		if !s.Boundary() || s.Ended() {
			t.Errorf("%s: boundary %t, ended %t", r.URL.Path, s.Boundary(), s.Ended())
		}
		w.Write(s.AppendError(nil, http.StatusGatewayTimeout, "stream_idle", "no event came for 300s"))
	}))
	defer server.Close()
	out, ok := command.Run(t, []string{"SERVER=" + server.URL}, node, "--test", "--test-reporter=spec", "broken.mjs")
	if !ok {
		t.Fatal(out)
	}
	t.Log(out)
}

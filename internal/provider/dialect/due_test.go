package dialect

import (
	"strings"
	"testing"
)

// An end is to come where the stream is surely one of its dialect, and until it has come.
func TestDue(t *testing.T) {
	f := func(d Dialect, want bool, events ...string) {
		t.Helper()
		var s Stream
		s.Reset(d)
		all := []byte(strings.Join(events, ""))
		for len(all) > 0 {
			n, _ := s.Feed(all)
			all = all[n:]
		}
		if s.Due() != want {
			t.Errorf("%s: %t after %q", d, s.Due(), events)
		}
	}
	const choice, candidate = `{"choices":[{"index":0,"delta":{"content":"x"}}]}`, `{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}`
	f(Chat, true, data(choice)...)
	f(Chat, false, data(choice, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`)...)
	f(Chat, false, data(choice, "[DONE]")...)
	f(Chat, false, data(choice, `{"error":{"message":"x"}}`)...)
	f(Chat, false, data("hello", `{"text":"x"}`)...)
	f(Chat, false)
	f(Gemini, true, data(candidate)...)
	f(Gemini, false, data(candidate, `{"candidates":[{"finishReason":"STOP"}]}`)...)
	f(Gemini, false, data(`{"usageMetadata":{}}`)...)
	f(Responses, true, data(`{"type":"response.created","response":{}}`, `{"type":"response.output_text.delta","delta":"x"}`)...)
	f(Responses, false, data(`{"type":"response.created","response":{}}`, `{"type":"response.completed","response":{}}`)...)
	f(Responses, false, data(`{"type":"response.output_text.delta","delta":"x"}`)...)
	f(Messages, true, data(`{"type":"message_start","message":{}}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"}}`)...)
	f(Messages, false, data(`{"type":"message_start","message":{}}`, `{"type":"message_stop"}`)...)
	f(Messages, false, data(`{"type":"ping"}`)...)
	begun := event("messageStart", `{"role":"assistant"}`)
	f(Converse, true, begun)
	f(Converse, false, begun, event("messageStop", `{"stopReason":"end_turn"}`))
	f(Converse, false, event("metadata", `{}`))
}

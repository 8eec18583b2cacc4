package dialect

import (
	"strings"
	"testing"
)

// reading feeds one event after the other, each of which must end where it ends, and tells what they were: a letter each
// of Metadata, Output, Error, Ending; then "." if the answer is over.
func reading(t *testing.T, d Dialect, events ...string) string {
	t.Helper()
	var s Stream
	s.Reset(d)
	said := ""
	for _, event := range events {
		n, e := s.Feed([]byte(event))
		if n != len(event) || !s.Boundary() {
			t.Errorf("%s: %d of %d bytes taken, boundary %t: %s", d, n, len(event), s.Boundary(), event)
		}
		said += map[Event]string{None: "-", Metadata: "m", Output: "o", Error: "e", End: "E"}[e]
	}
	if s.Ended() {
		said += "."
	}
	return said
}

// data makes server-sent events of payloads; a payload "name: json" has an event field.
func data(payloads ...string) []string {
	events := make([]string, len(payloads))
	for i, payload := range payloads {
		if name, rest, ok := strings.Cut(payload, "| "); ok {
			events[i] = "event: " + name + "\n"
			payload = rest
		}
		events[i] += "data: " + payload + "\n\n"
	}
	return events
}

func TestChat(t *testing.T) {
	f := func(want string, payloads ...string) {
		t.Helper()
		if got := reading(t, Chat, data(payloads...)...); got != want {
			t.Errorf("%s, want %s: %v", got, want, payloads)
		}
	}
	chunk := func(choices string) string {
		return `{"id":"c","object":"chat.completion.chunk","model":"m","choices":[` + choices + `],"usage":null}`
	}
	role := chunk(`{"index":0,"delta":{"role":"assistant","content":"","refusal":null,"tool_calls":[]},"logprobs":null,"finish_reason":null}`)
	word := chunk(`{"index":0,"delta":{"content":"Hi"},"finish_reason":null}`)
	stop := chunk(`{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}`)
	usage := `{"id":"c","choices":[],"usage":{"prompt_tokens":5}}`
	f("mooEm.", role, word, word, stop, usage)
	f("mooEmE.", role, word, word, stop, usage, "[DONE]")
	f("mEmE.", role, stop, usage, "[DONE]")
	f("mo", role, word)
	f("E.", " [DONE] ")
	f("E.", chunk(`{"finish_reason":"content_filter","delta":{}}`))
	f("m", `{"choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false}}}]}`)
	f("m", chunk(`{"index":0,"content_filter_offsets":{"check_offset":44},"content_filter_results":{"hate":{}},"finish_reason":null}`))
	f("o", chunk(`{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}}`))
	f("o", chunk(`{"index":0,"delta":{"function_call":{"name":"f"}}}`))
	f("o", chunk(`{"index":0,"delta":{"reasoning_content":"hm"}}`))
	f("o", chunk(`{"index":0,"delta":{"refusal":"no"}}`))
	f("o", chunk(`{"index":0,"delta":{"audio":{"id":"a"}}}`))
	f("o", chunk(`{"index":0,"delta":{"content":"","content":"x"}}`))
	f("o", chunk(`{"index":0,"delta":"Hi"}`))
	f("o", chunk(`{"index":0,"delta":{},"something":1}`))
	f("moE.", `{"choices":[{"text":"","index":0,"logprobs":null,"finish_reason":null}]}`, `{"choices":[{"text":"a","index":0}]}`,
		`{"choices":[{"text":"","index":0,"finish_reason":"length"}]}`)

	t.Log("several choices are over once all are")
	second := chunk(`{"index":1,"delta":{"role":"assistant"},"finish_reason":null}`)
	f("mmo", role, second, stop)
	f("mmoE.", role, second, stop, chunk(`{"index":1,"delta":{},"finish_reason":"stop"}`))
	f("mo", role, chunk(`{"index":200,"delta":{},"finish_reason":"stop"}`))
	f("moE.", role, chunk(`{"index":200,"delta":{},"finish_reason":"stop"}`), "[DONE]")
	f("mEm", role, stop, role)
	f("moomo", role, word, word, second, stop)
	f("moomoE.", role, word, chunk(`{"index":0,"delta":{"tool_calls":[{"index":1}]},"finish_reason":null}`), second, stop, chunk(`{"index":1,"finish_reason":"stop"}`))
	f("mooo", role, word, chunk(`{"index":1,"delta":{"tool_calls":[{"index":0}]},"finish_reason":null}`), stop)
	f("mooE.", role, word, chunk(`{"index":0,"delta":{"content":"\"finish_reason\":\"stop\",\"error\":1"},"finish_reason":null}`), stop)

	f("e.", `{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}`)
	f("moe.", role, word, `{"error":{"message":"x"}}`)
	f("e.", `{"id":"c","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":{"code":502,"message":"x"}}`)
	f("e.", `{"error":"overloaded"}`)
	f("e.", `error| overloaded`)
	f("m", `{"error":null,"choices":[]}`)

	t.Log("what is not known is output")
	for _, odd := range []string{"", "hello", "{}", "[]", "1", `{"object":"x"}`, `{"choices":[]`, `{"choices":[]}}`, `{"choices":[],}`, "{\"choices\":[\x00]}"} {
		f("o", odd)
	}
}

func TestResponses(t *testing.T) {
	f := func(want string, payloads ...string) {
		t.Helper()
		named := make([]string, len(payloads))
		for i, payload := range payloads {
			kind := value(payload).get("type").text()
			named[i] = string(kind) + "| " + payload
		}
		for _, form := range [][]string{payloads, named} { // the names say the same as the types, and may be left out
			if got := reading(t, Responses, data(form...)...); got != want {
				t.Errorf("%s, want %s: %v", got, want, form)
			}
		}
	}
	const created = `{"type":"response.created","sequence_number":0,"response":{"id":"r","status":"in_progress","output":[],"error":null}}`
	const running = `{"type":"response.in_progress","response":{"output":[]}}`
	const queued = `{"type":"response.queued","response":{"output":[]}}`
	const item = `{"type":"response.output_item.added","output_index":0,"item":{"id":"i","type":"message","status":"in_progress","role":"assistant","content":[]}}`
	const reasoning = `{"type":"response.output_item.added","item":{"id":"i","type":"reasoning","summary":[]}}`
	const part = `{"type":"response.content_part.added","part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}`
	const word = `{"type":"response.output_text.delta","delta":"Hi"}`
	const completed = `{"type":"response.completed","response":{"output":[{"type":"message"}],"error":null}}`
	const failed = `{"type":"response.failed","response":{"status":"failed","output":[],"error":{"code":"server_error","message":"x"}}}`
	const failure = `{"type":"error","code":"server_error","message":"x","param":null,"sequence_number":1}`
	f("mmmmmmoE.", created, queued, running, reasoning, item, part, word, completed)
	f("mE.", created, completed)
	f("mE.", created, `{"type":"response.incomplete","response":{"incomplete_details":{"reason":"content_filter"}}}`)
	f("mme.", created, running, failed)
	f("me.", created, failure)
	f("moe.", created, word, failed)
	f("moe.", created, word, failure)
	f("mo.", created, `{"type":"response.failed","response":{"output":[{"type":"message"}],"error":{"code":"x"}}}`)
	f("o", `{"type":"response.output_item.added","item":{"type":"function_call","name":"f","arguments":""}}`)
	f("o", `{"type":"response.output_item.added","item":{"type":"reasoning","encrypted_content":"gAAA"}}`)
	f("o", `{"type":"response.reasoning_summary_text.delta","delta":"x"}`)
	f("o", `{"type":"response.refusal.delta","delta":"x"}`)
	f("o", `{"type":"response.something.new"}`)
	f("m", `{"type":"keepalive","sequence_number":3}`)
	f("e.", `{"error":{"message":"x"}}`)
}

func TestMessages(t *testing.T) {
	f := func(want string, payloads ...string) {
		t.Helper()
		named := make([]string, len(payloads))
		for i, payload := range payloads {
			named[i] = string(value(payload).get("type").text()) + "| " + payload
		}
		if got := reading(t, Messages, data(named...)...); got != want {
			t.Errorf("%s, want %s: %v", got, want, named)
		}
	}
	const start = `{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":3}}}`
	const ping = `{"type":"ping"}`
	const block = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"","citations":null}}`
	const word = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}`
	const ended = `{"type":"content_block_stop","index":0}`
	const reason = `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}}`
	const stop = `{"type":"message_stop"}`
	const overloaded = `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`
	f("mmmomoE.", start, block, ping, word, ended, reason, stop)
	f("moE.", start, reason, stop)
	f("momo", start, word, ended, reason)
	f("mmme.", start, ping, block, overloaded)
	f("moe.", start, word, overloaded)
	f("e.", overloaded)
	f("mm", start, `{"type":"content_block_start","content_block":{"type":"thinking","thinking":"","signature":""}}`)
	f("mm", start, `{"type":"content_block_delta","delta":{"type":"text_delta","text":""}}`)
	f("mm", start, `{"type":"message_delta","delta":{"stop_reason":null},"usage":{}}`)
	f("mo", start, `{"type":"content_block_start","content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}`)
	f("mo", start, `{"type":"content_block_start","content_block":{"type":"redacted_thinking","data":"x"}}`)
	f("mo", start, `{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"x"}}`)
	f("mo", start, `{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"x"}}`)
	f("mo", start, `{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{"}}`)
	f("o", `{"type":"message_start","message":{"content":[{"type":"text"}]}}`)
	f("mo", start, `{"type":"something_new"}`)
	f("e.", `{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}`)
	f("o", `{}`)
}

func TestGemini(t *testing.T) {
	f := func(want string, payloads ...string) {
		t.Helper()
		if got := reading(t, Gemini, data(payloads...)...); got != want {
			t.Errorf("%s, want %s: %v", got, want, payloads)
		}
	}
	const usage = `{"usageMetadata":{"promptTokenCount":4},"modelVersion":"g","responseId":"r"}`
	const word = `{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"index":0}],"usageMetadata":{},"modelVersion":"g"}`
	const last = `{"candidates":[{"content":{"parts":[{"text":"."}],"role":"model"},"finishReason":"STOP","index":0}]}`
	const bare = `{"candidates":[{"finishReason":"MAX_TOKENS","content":{"role":"model"}}]}`
	f("mooo.", usage, word, word, last)
	f("oE.", word, bare)
	f("E.", bare)
	f("mo", usage, word)
	f("o.", last)
	f("E.", `{"promptFeedback":{"blockReason":"SAFETY","safetyRatings":[]},"usageMetadata":{}}`)
	f("m", `{"promptFeedback":{"safetyRatings":[]}}`)
	f("m", `{"candidates":[{"content":{"parts":[{"text":"","thought":true}],"role":"model"},"safetyRatings":[{"category":"x"}]}]}`)
	f("o", `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}}}]}}]}`)
	f("o", `{"candidates":[{"content":{"parts":[{"text":"hm","thought":true}]}}]}`)
	f("o", `{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"x"}]}}]}`)
	f("o", `{"candidates":[{"groundingMetadata":{"x":1}}]}`)
	f("oo", last, word) // a candidate that goes on has not ended, whatever an older model said with each chunk
	f("e.", `{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}`)
	f("oe.", word, `{"error":{"code":500,"message":"x","status":"INTERNAL"}}`)
	f("o", `{}`)
	f("o", `[{"candidates":[]}]`)
}

func TestServerSentEvents(t *testing.T) {
	f := func(want string, events ...string) {
		t.Helper()
		if got := reading(t, Chat, events...); got != want {
			t.Errorf("%s, want %s: %q", got, want, events)
		}
	}
	const m, o = `{"choices":[]}`, `{"choices":[{"delta":{"content":"x"}}]}`
	f("m", ": ping\n\n")
	f("m", "\n")
	f("m", "event: ping\n\n") // without data it is not dispatched
	f("m", "id: 7\nretry: 100\n\n")
	f("mo", "data: "+m+"\n\n", "data:"+o+"\n\n")
	f("mo", "data: "+m+"\r\n\r\n", "data: "+o+"\r\n\r\n")
	f("mo", "data: "+m+"\r\r", "data: "+o+"\r\r")
	f("mo", "data: "+m+"\r\n\r", "\ndata: "+o+"\r\n\r")
	f("m", "\ufeffdata: "+m+"\n\n")
	f("m", "\ufeff: hello\ndata: "+m+"\n\n")
	f("m", "data: {\"choices\":\ndata: []\ndata: }\n\n")
	f("o", "data: {\"choices\":\ndata: []\ndata\ndata: }}\n\n")
	f("mo", ": ping\ndata: "+m+"\n: ping\n\n", "id: 1\nevent: message\ndata: "+o+"\nother\n\n")
	f("o", "data\n\n")
	f("o", "data:\n\n")

	var s Stream
	s.Reset(Chat)
	if !s.Boundary() {
		t.Error("nothing is no boundary")
	}
	for _, part := range []string{":", " ping\n", "data: ", m, "\r", "\n"} {
		if n, e := s.Feed([]byte(part)); n != len(part) || e != None || s.Boundary() {
			t.Errorf("%q: %d, %s, boundary %t", part, n, e, s.Boundary())
		}
	}
	if n, e := s.Feed([]byte("\r")); n != 1 || e != Metadata || !s.Boundary() {
		t.Errorf("end: %d, %s, boundary %t", n, e, s.Boundary())
	}
	if n, e := s.Feed([]byte("\n")); n != 1 || e != None || !s.Boundary() {
		t.Errorf("line feed of the end: %d, %s, boundary %t", n, e, s.Boundary())
	}
	if n, e := s.Feed(nil); n != 0 || e != None {
		t.Errorf("nothing: %d, %s", n, e)
	}
	s.Reset(Unknown)
	if n, e := s.Feed([]byte("data: {}\n\n")); n != 10 || e != Output {
		t.Errorf("no dialect: %d, %s", n, e)
	}
}

func TestErrorsOutsideOfEvents(t *testing.T) {
	const said = "{\n  \"error\": {\r\n    \"code\": 503,\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n"
	f := func(d Dialect, want Event, before, in string) {
		t.Helper()
		for size := 1; size <= len(in); size++ {
			var s Stream
			s.Reset(d)
			s.Feed([]byte(before))
			for from := 0; from < len(in); from += size {
				if _, e := s.Feed([]byte(in[from:min(from+size, len(in))])); e != None {
					t.Fatalf("%s: %s", e, in)
				}
			}
			if got := s.Finish(); got != want || s.Ended() != (want == Error) {
				t.Fatalf("%s, want %s, ended %t: %s", got, want, s.Ended(), in)
			}
		}
	}
	f(Gemini, Error, "", said)
	f(Gemini, Error, "", strings.TrimSpace(said))
	f(Gemini, Error, data(`{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}`)[0], said)
	f(Chat, Error, "", `{"error":{"message":"x"}}`)
	f(Gemini, None, "", said[:20])
	f(Gemini, None, "", `{"candidates":[{"finishReason":""}]}`)
	f(Gemini, None, "", "data: "+strings.ReplaceAll(said, "\n", ""))
	f(Messages, None, "", "event: error\n")
	f(Chat, None, "", "hello")
	f(Converse, None, "", "hello")

	if got := reading(t, Gemini, said+"\n", said+"\r\n"); got != "ee." {
		t.Error(got)
	}
	if got := reading(t, Chat, "hello\n\n", "{\"choices\":\n[]}\n\n"); got != "om" {
		t.Error(got)
	}
	var s Stream
	s.Reset(Gemini)
	s.Feed([]byte(said[:1] + strings.Repeat(" ", maxEvent) + said[1:]))
	if e := s.Finish(); e != None {
		t.Error(e)
	}
}

func TestLargeEvents(t *testing.T) {
	huge := strings.Repeat("x", 2*maxEvent)
	f := func(d Dialect, want string, payloads ...string) {
		t.Helper()
		whole := reading(t, d, data(payloads...)...)
		var s Stream
		s.Reset(d)
		parts := ""
		for _, event := range data(payloads...) {
			for from := 0; from < len(event); from += 1000 {
				_, e := s.Feed([]byte(event[from:min(from+1000, len(event))]))
				parts += map[Event]string{Metadata: "m", Output: "o", Error: "e", End: "E"}[e]
			}
			if cap(s.held) > maxIdle {
				t.Errorf("%s keeps %d bytes", d, cap(s.held))
			}
		}
		if s.Ended() {
			parts += "."
		}
		if whole != want || parts != want {
			t.Errorf("%s: %s, in parts %s, want %s", d, whole, parts, want)
		}
	}
	f(Chat, "omE.", `{"choices":[],"x":"`+huge+`"}`, `{"choices":[]}`, `[DONE]`)
	f(Responses, "oE.", `response.output_text.delta| {"delta":"x"}`, `response.completed| {"type":"response.completed","response":"`+huge+`"}`)
	f(Responses, "E.", `response.incomplete| {"type":"response.incomplete","response":"`+huge+`"}`)
	f(Responses, "o.", `response.failed| {"type":"response.failed","response":"`+huge+`"}`)
	f(Responses, "oo", `response.created| {"type":"response.created","response":"`+huge+`"}`, `{"type":"response.output_text.delta"}`)
	f(Messages, "oe.", `content_block_delta| {"delta":"`+huge+`"}`, `error| {"error":"`+huge+`"}`)
	f(Gemini, "o.", `{"candidates":[{"content":{"parts":[{"inlineData":"`+huge+`"}]},"finishReason":"STOP"}]}`)
	f(Gemini, "oo", `{"candidates":[{"content":"`+huge+`"}]}`, `{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}`)
}

package dialect

import "testing"

func TestOf(t *testing.T) {
	const sse, frames = "text/event-stream", "application/vnd.amazon.eventstream"
	f := func(want Dialect, method, path, contentType, contentEncoding string) {
		t.Helper()
		if got := Of(method, path, contentType, contentEncoding); got != want {
			t.Errorf("%s %s, %q, %q: %s, want %s", method, path, contentType, contentEncoding, got, want)
		}
	}
	f(Chat, "POST", "/v1/chat/completions", sse, "")
	f(Chat, "POST", "/v1/completions", "Text/Event-Stream; charset=utf-8", "identity")
	f(Chat, "POST", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", sse, "")
	f(Responses, "POST", "/v1/responses", sse, "")
	f(Messages, "POST", "/v1/messages?beta=true", sse, "")
	f(Messages, "POST", "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4:streamRawPredict", sse, "")
	f(Unknown, "POST", "/v1/projects/p/locations/l/publishers/mistralai/models/mistral-large:streamRawPredict", sse, "")
	f(Gemini, "POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", sse, "")
	f(Gemini, "POST", "/v1beta/models/gemini-2.5-pro%3AstreamGenerateContent", sse, "")
	f(Converse, "POST", "/model/us.anthropic.claude-v2%3A1/converse-stream", frames, "")
	f(Invoke, "POST", "/model/m/invoke-with-response-stream", frames, "")

	f(Messages, "POST", "/anthropic/v1/messages", sse, "")
	f(Unknown, "POST", "/mcp/messages", sse, "")

	f(Unknown, "GET", "/v1/responses", sse, "")
	f(Unknown, "POST", "/v1/chat/completions", "application/json", "")
	f(Unknown, "POST", "/v1/chat/completions", "", "")
	f(Unknown, "POST", "/v1/chat/completions", sse+", "+sse, "")
	f(Unknown, "POST", "/v1/chat/completions", frames, "")
	f(Unknown, "POST", "/v1/chat/completions", sse, "gzip")
	f(Unknown, "POST", "/v1/chat/completions", sse, "identity, gzip")
	f(Unknown, "POST", "/model/m/converse-stream", sse, "")
	f(Unknown, "POST", "/v1beta/models/m:streamGenerateContent", "application/json", "") // an array that grows
	f(Unknown, "POST", "/v1beta/models/streamGenerateContent", sse, "")
	f(Unknown, "POST", "/v1/models/m:streamRawPredict", sse, "")
	f(Unknown, "POST", "/v1/chat/completions/", sse, "")
	f(Unknown, "POST", "/v1/notchat?/chat/completions", sse, "")
	f(Unknown, "POST", "", sse, "")
}

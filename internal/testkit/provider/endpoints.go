package provider

import (
	"encoding/json"
	"fmt"
)

// Endpoint is one way to ask for an inference, plain or as a stream.
type Endpoint struct {
	Name      string
	Kind      Kind
	Plain     string // path and query
	Streamed  string // likewise
	Ended     string // stands in a streamed answer whose text is whole
	Failed    string // stands in a streamed answer's error
	Delimiter string // between events; empty: they state their length
	Loose     bool   // errors within a stream are no events

	fields   string // of the body, with the question as %s
	asStream string // what a body has besides for a stream
}

// Endpoints are those of the emulators that generate text.
func Endpoints() []Endpoint {
	const chat, messages = `"messages":[{"role":"user","content":%s}]`, "/v1/messages"
	const flag = `,"stream":true`
	return []Endpoint{
		{
			Name: "OpenAI chat", Kind: OpenAI, Plain: "/v1/chat/completions", Streamed: "/v1/chat/completions",
			Ended: `"finish_reason":"stop"`, Failed: `data: {"error"`, Delimiter: "\n\n", fields: `"model":"m",` + chat, asStream: flag,
		},
		{
			Name: "OpenAI Responses", Kind: OpenAI, Plain: "/v1/responses", Streamed: "/v1/responses",
			Ended: "event: response.completed", Failed: "event: error", Delimiter: "\n\n", fields: `"model":"m","input":%s`, asStream: flag,
		},
		{
			Name: "Anthropic", Kind: Anthropic, Plain: messages, Streamed: messages,
			Ended: "event: message_stop", Failed: "event: error", Delimiter: "\n\n", fields: `"model":"m","max_tokens":1000,` + chat, asStream: flag,
		},
		{
			Name: "Gemini", Kind: Gemini, Plain: "/v1beta/models/m:generateContent", Streamed: "/v1beta/models/m:streamGenerateContent?alt=sse",
			Ended: `"finishReason"`, Failed: `"error"`, Delimiter: "\r\n\r\n", Loose: true, fields: `"contents":[{"parts":[{"text":%s}]}]`,
		},
		{
			Name: "Bedrock", Kind: Bedrock, Plain: "/model/m/converse", Streamed: "/model/m/converse-stream",
			Ended: "messageStop", Failed: ":exception-type", fields: `"messages":[{"role":"user","content":[{"text":%s}]}]`,
		},
	}
}

// Path is what is asked for.
func (e *Endpoint) Path(stream bool) string {
	if stream {
		return e.Streamed
	}
	return e.Plain
}

// Body is a request's. Padding is a field that emulators pass over; empty: none.
func (e *Endpoint) Body(question string, stream bool, padding string) string {
	quoted, err := json.Marshal(question)
	if err != nil {
		panic(err) // a string can be written
	}
	text := fmt.Sprintf(e.fields, quoted)
	if stream {
		text += e.asStream
	}
	if padding != "" {
		text += `,"padding":"` + padding + `"`
	}
	return "{" + text + "}"
}

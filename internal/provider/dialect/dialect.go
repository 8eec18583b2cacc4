// Package dialect reads the streams of AI providers' APIs far enough to tell metadata, output, error and end, and writes
// the one event that ends a broken stream so that the provider's own SDKs raise it.
//
// It is pure: bytes in, a word about them out. It changes and keeps none of what it reads beyond the event under way,
// makes no decision, and knows no HTTP. What it cannot read it calls output, because whoever holds a stream back or asks
// another provider must stop at output. The data path calls it, to know how long an answer may still be replaced.
package dialect

import "strings"

// Dialect is whose events a stream has. The zero value is none: such a stream is not to be read, nor held.
type Dialect uint8

// The dialects.
const (
	Unknown   Dialect = iota
	Chat              // OpenAI's Chat Completions and the older Completions, which compatible servers have too
	Responses         // OpenAI's Responses
	Messages          // Anthropic's Messages, also behind Vertex AI
	Gemini            // streamGenerateContent of the Gemini API and Vertex AI, as server-sent events
	Converse          // Amazon Bedrock's ConverseStream
	Invoke            // Amazon Bedrock's InvokeModelWithResponseStream; what Anthropic's models say is read, other models' is output
)

func (d Dialect) String() string {
	return [...]string{"unknown", "chat", "responses", "messages", "gemini", "converse", "invoke"}[d]
}

// framed reports whether events are frames of application/vnd.amazon.eventstream; the others are server-sent events.
func (d Dialect) framed() bool { return d == Converse || d == Invoke }

// Of is the dialect of an answer to a request of this method and path, the path as it was sent to the destination, with
// or without its query. The answer's Content-Type decides too: only a streamed answer has a dialect. A coded content
// cannot be read, so it has none.
func Of(method, path, contentType, contentEncoding string) Dialect {
	if method != "POST" || contentEncoding != "" && !strings.EqualFold(contentEncoding, "identity") {
		return Unknown
	}
	path, _, _ = strings.Cut(path, "?")
	d := ofPath(path)
	want := "text/event-stream"
	if d.framed() {
		want = "application/vnd.amazon.eventstream"
	}
	if media, _, _ := strings.Cut(contentType, ";"); !strings.EqualFold(strings.TrimSpace(media), want) {
		return Unknown
	}
	return d
}

// ofPath knows an API by the end of its path: providers, Azure's deployments and compatible servers each have a base of
// their own before it.
func ofPath(path string) Dialect {
	last := path[strings.LastIndexByte(path, '/')+1:]
	switch last {
	case "completions":
		return Chat
	case "responses":
		return Responses
	case "converse-stream":
		return Converse
	case "invoke-with-response-stream":
		return Invoke
	}
	switch {
	case strings.HasSuffix(path, "/v1/messages"): // messages alone is a name that other protocols have too, such as MCP
		return Messages
	case called(last, "streamGenerateContent"):
		return Gemini
	case called(last, "streamRawPredict") && strings.Contains(path, "/publishers/anthropic/"): // other publishers have other APIs
		return Messages
	}
	return Unknown
}

// called reports whether a segment ends with one of Google's custom methods, "model:method".
func called(segment, method string) bool {
	before, ok := strings.CutSuffix(segment, method)
	return ok && (strings.HasSuffix(before, ":") || strings.HasSuffix(before, "%3A"))
}

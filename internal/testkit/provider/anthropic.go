package provider

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// The API versions. In the newer one the sampling parameters are gone: a request that has one is refused.
const (
	version2023 = "2023-06-01"
	version2026 = "2026-10-21"
)

func anthropic() dialect {
	return dialect{
		route: func(method, path string) (endpoint, error) {
			switch {
			case path != "/v1/messages":
				return nil, notFound(method, path)
			case method != http.MethodPost:
				return nil, notAllowed(method, path)
			}
			return messages, nil
		},
		// Either field is good; SDKs up to API version 2023-06-01 send the first, later ones the second.
		keys: func(h http.Header) []string { return slices.Concat(h.Values("X-Api-Key"), bearers(h)) },
		explain: func(f *failure, id string) any {
			return object{"type": "error", "error": object{"type": f.kind, "message": f.message}, "request_id": id}
		},
		failed: "error",
	}
}

type messagesRequest struct {
	Model     string          `json:"model"`
	MaxTokens *int            `json:"max_tokens"`
	System    json.RawMessage `json:"system"` // a string, or text blocks
	Messages  []message       `json:"messages"`
	Stream    bool            `json:"stream"`

	Temperature json.RawMessage `json:"temperature"`
	TopP        json.RawMessage `json:"top_p"`
	TopK        json.RawMessage `json:"top_k"`
}

func (r messagesRequest) check(version string) error {
	switch {
	case version == version2026 && (r.Temperature != nil || r.TopP != nil || r.TopK != nil):
		return invalid("", "temperature, top_p, top_k: Extra inputs are not permitted")
	case r.MaxTokens == nil:
		return invalid("", "max_tokens: Field required")
	case *r.MaxTokens < 1:
		return invalid("", "max_tokens: Input should be greater than or equal to 1")
	case len(r.Messages) == 0:
		return invalid("", "messages: at least one message is required")
	}
	for _, m := range r.Messages {
		if m.Role != "user" && m.Role != "assistant" && (m.Role != "system" || version != version2026) {
			return invalid("", "messages: Unexpected role %q.", m.Role)
		}
	}
	return nil
}

// messages is POST /v1/messages.
func messages(c *call) error {
	version := c.r.Header.Get("Anthropic-Version")
	switch version {
	case version2023, version2026:
	case "":
		return invalid("", "anthropic-version: header is required")
	default:
		return invalid("", "anthropic-version: %q is not a valid version", version)
	}
	var request messagesRequest
	if err := c.decode(&request); err != nil {
		return err
	}
	if err := c.model(request.Model); err != nil {
		return err
	}
	if err := request.check(version); err != nil {
		return err
	}
	texts, question, err := conversation(request.Messages)
	if err != nil {
		return err
	}
	system, ok := textOf(request.System)
	if !ok {
		return invalid("", "system: Input should be a valid string or list of blocks")
	}
	if err := c.execute(request.Stream); err != nil {
		return err
	}
	if beta := c.r.Header.Values("Anthropic-Beta"); len(beta) > 0 {
		c.w.Header().Set("Anthropic-Beta", strings.Join(beta, ","))
	}
	a := say(question, *request.MaxTokens, append(texts, system)...)
	reply := object{
		"id": "msg_" + rand.Text(), "type": "message", "role": "assistant", "model": request.Model,
		"content": []any{}, "stop_reason": nil, "stop_sequence": nil, "stop_details": nil, "container": nil, "usage": messagesUsage(a, 1),
	}
	if request.Stream {
		streamMessage(c, a, reply)
		return nil
	}
	reply["content"] = []object{{"type": "text", "text": a.text(), "citations": nil}}
	reply["stop_reason"], reply["usage"] = a.reason("end_turn", "max_tokens"), messagesUsage(a, a.output())
	c.json(http.StatusOK, reply)
	return nil
}

func streamMessage(c *call, a answer, reply object) {
	s := c.stream("\n")
	send := func(event string, fields object) {
		fields["type"] = event
		s.send(event, fields)
	}
	send("message_start", object{"message": reply})
	send("content_block_start", object{"index": 0, "content_block": object{"type": "text", "text": "", "citations": nil}})
	send("ping", object{})
	s.words(a.pieces, func(piece string) {
		send("content_block_delta", object{"index": 0, "delta": object{"type": "text_delta", "text": piece}})
	})
	send("content_block_stop", object{"index": 0})
	send("message_delta", object{
		"delta": object{"stop_reason": a.reason("end_turn", "max_tokens"), "stop_sequence": nil, "stop_details": nil},
		"usage": object{"output_tokens": a.output()}, // cumulative: it replaces the count of message_start
	})
	send("message_stop", object{})
}

func messagesUsage(a answer, output int) object {
	return object{
		"input_tokens": a.input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
		"output_tokens": output, "service_tier": "standard",
	}
}

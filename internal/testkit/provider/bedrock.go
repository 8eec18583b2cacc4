package provider

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"net/http"
	"net/url"
	"strings"
)

// bedrock has the Converse operations, with an API key as bearer token.
func bedrock() dialect {
	return dialect{
		route: func(method, path string) (endpoint, error) {
			rest, ok := strings.CutPrefix(path, "/model/")
			name, operation, _ := strings.Cut(rest, "/")
			model, err := url.PathUnescape(name)
			if !ok || err != nil || operation != "converse" && operation != "converse-stream" {
				return nil, notFound(method, path)
			}
			if method != http.MethodPost {
				return nil, notAllowed(method, path)
			}
			return func(c *call) error { return converse(c, model, operation == "converse-stream") }, nil
		},
		keys:    bearers,
		explain: func(f *failure, _ string) any { return object{"message": f.message} },
		label:   func(h http.Header, f *failure) { h.Set("X-Amzn-ErrorType", bedrockErrors[f.kind]) },
	}
}

// bedrockErrors are the errors of Converse that there are others' names for.
var bedrockErrors = map[string]string{
	"authentication_error": "AccessDeniedException", "not_found_error": "ResourceNotFoundException", "rate_limit_error": "ThrottlingException",
	"overloaded_error": "ServiceUnavailableException", "api_error": "InternalServerException", "invalid_request_error": "ValidationException",
	"request_too_large": "ValidationException",
}

type converseRequest struct {
	Messages []message       `json:"messages"`
	System   json.RawMessage `json:"system"`
	Config   struct {
		MaxTokens int `json:"maxTokens"`
	} `json:"inferenceConfig"`
}

// converse is POST /model/{model}/converse and /model/{model}/converse-stream.
func converse(c *call, model string, streamed bool) error {
	var request converseRequest
	if err := c.decode(&request); err != nil {
		return err
	}
	if err := c.model(model); err != nil {
		return err
	}
	if len(request.Messages) == 0 {
		return missing("messages")
	}
	texts, question, err := conversation(request.Messages)
	if err != nil {
		return err
	}
	system, ok := textOf(request.System)
	if !ok {
		return invalid("system", "system must be a list of blocks")
	}
	if err := c.execute(streamed); err != nil {
		return err
	}
	a := say(question, request.Config.MaxTokens, append(texts, system)...)
	usage, metrics := object{"inputTokens": a.input, "outputTokens": a.output(), "totalTokens": a.input + a.output()}, object{"latencyMs": 1}
	if !streamed {
		c.json(http.StatusOK, object{
			"output":     object{"message": object{"role": "assistant", "content": []object{{"text": a.text()}}}},
			"stopReason": a.reason("end_turn", "max_tokens"), "usage": usage, "metrics": metrics,
		})
		return nil
	}
	s := c.open("application/vnd.amazon.eventstream", func(event string, data []byte) []byte {
		if kind, failed := strings.CutPrefix(event, "!"); failed {
			return frame(data, ":message-type", "exception", ":exception-type", kind, ":content-type", "application/json")
		}
		return frame(data, ":message-type", "event", ":event-type", event, ":content-type", "application/json")
	})
	s.fail = func(f *failure) {
		name := bedrockErrors[f.kind]
		s.send("!"+strings.ToLower(name[:1])+name[1:], object{"message": f.message})
	}
	s.send("messageStart", object{"role": "assistant", "p": "abcdef"})
	s.words(a.pieces, func(piece string) {
		s.send("contentBlockDelta", object{"contentBlockIndex": 0, "delta": object{"text": piece}, "p": "abcd"})
	})
	s.send("contentBlockStop", object{"contentBlockIndex": 0})
	s.send("messageStop", object{"stopReason": a.reason("end_turn", "max_tokens")})
	s.send("metadata", object{"usage": usage, "metrics": metrics})
	return nil
}

// frame is one of application/vnd.amazon.eventstream: names and values of headers, all strings, and a payload.
func frame(payload []byte, headers ...string) []byte {
	var list []byte
	for i := 0; i < len(headers); i += 2 {
		name, v := headers[i], headers[i+1]
		list = append(append(list, byte(len(name))), name...)
		list = append(binary.BigEndian.AppendUint16(append(list, 7), uint16(len(v))), v...)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(12+len(list)+len(payload)+4))
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, list...), payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

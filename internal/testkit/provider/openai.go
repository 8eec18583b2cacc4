package provider

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"
)

const defaultModel = "gpt-4o-mini" // that exists where no Models are configured

func openAI() dialect {
	posts := map[string]endpoint{
		"/v1/chat/completions": chat,
		"/v1/embeddings":       embeddings,
		"/v1/responses":        responses,
	}
	return dialect{
		route: func(method, path string) (endpoint, error) {
			run, post := posts[path]
			switch {
			case post && method == http.MethodPost:
				return run, nil
			case path == "/v1/models" && method == http.MethodGet:
				return models, nil
			case strings.HasPrefix(path, "/v1/models/") && method == http.MethodGet:
				return oneModel, nil
			case post, path == "/v1/models", strings.HasPrefix(path, "/v1/models/"):
				return nil, notAllowed(method, path)
			}
			return nil, notFound(method, path)
		},
		keys:    bearers,
		explain: openAIError,
	}
}

// bearers are the keys in Authorization (RFC 6750, section 2.1). Another scheme counts as a wrong key.
func bearers(h http.Header) []string {
	var keys []string
	for _, value := range h.Values("Authorization") {
		scheme, key, _ := strings.Cut(value, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			key = ""
		}
		keys = append(keys, key)
	}
	return keys
}

func openAIError(f *failure, _ string) any {
	kind := f.kind
	switch kind { // OpenAI knows fewer types than the others
	case "authentication_error", "not_found_error", "request_too_large":
		kind = "invalid_request_error"
	case "rate_limit_error":
		kind = "requests"
	case "overloaded_error", "api_error":
		kind = "server_error"
	}
	return object{"error": object{"message": f.message, "type": kind, "param": orNull(f.param), "code": orNull(f.code)}}
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

type chatRequest struct {
	Model               string    `json:"model"`
	Messages            []message `json:"messages"`
	Stream              bool      `json:"stream"`
	N                   int       `json:"n"`
	MaxTokens           int       `json:"max_tokens"`
	MaxCompletionTokens int       `json:"max_completion_tokens"`
	StreamOptions       struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// chat is POST /v1/chat/completions.
func chat(c *call) error {
	var request chatRequest
	if err := c.decode(&request); err != nil {
		return err
	}
	if err := c.model(request.Model); err != nil {
		return err
	}
	if len(request.Messages) == 0 {
		return missing("messages")
	}
	if request.N > 1 {
		return invalid("n", "Only one choice is emulated.")
	}
	texts, question, err := conversation(request.Messages)
	if err != nil {
		return err
	}
	if err := c.execute(request.Stream); err != nil {
		return err
	}
	c.openAIHeaders()
	a := say(question, max(request.MaxTokens, request.MaxCompletionTokens), texts...)
	base := object{
		"id": "chatcmpl-" + rand.Text(), "created": time.Now().Unix(), "model": request.Model,
		"service_tier": "default", "system_fingerprint": "fp_emulated",
	}
	if request.Stream {
		streamChat(c, a, base, request.StreamOptions.IncludeUsage)
		return nil
	}
	base["object"] = "chat.completion"
	base["choices"] = []object{{
		"index": 0, "logprobs": nil, "finish_reason": a.reason("stop", "length"),
		"message": object{"role": "assistant", "content": a.text(), "refusal": nil, "annotations": []any{}},
	}}
	base["usage"] = chatUsage(a)
	c.json(http.StatusOK, base)
	return nil
}

func streamChat(c *call, a answer, base object, usage bool) {
	s := c.stream("\n")
	base["object"] = "chat.completion.chunk"
	if usage {
		base["usage"] = nil // every chunk but the last then has it as null
	}
	chunk := func(delta object, reason any) {
		base["choices"] = []object{{"index": 0, "delta": delta, "logprobs": nil, "finish_reason": reason}}
		s.send("", base)
	}
	chunk(object{"role": "assistant", "content": "", "refusal": nil}, nil)
	s.words(a.pieces, func(piece string) { chunk(object{"content": piece}, nil) })
	chunk(object{}, a.reason("stop", "length"))
	if usage {
		base["choices"], base["usage"] = []object{}, chatUsage(a)
		s.send("", base)
	}
	s.write("", []byte("[DONE]"))
}

func chatUsage(a answer) object {
	return object{
		"prompt_tokens": a.input, "completion_tokens": a.output(), "total_tokens": a.input + a.output(),
		"prompt_tokens_details":     object{"cached_tokens": 0, "audio_tokens": 0},
		"completion_tokens_details": object{"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
	}
}

// models is GET /v1/models.
func models(c *call) error {
	list := []object{}
	for _, id := range c.provider.config.Models {
		list = append(list, modelObject(id))
	}
	if len(list) == 0 {
		list = append(list, modelObject(defaultModel))
	}
	c.openAIHeaders()
	c.json(http.StatusOK, object{"object": "list", "data": list})
	return nil
}

// oneModel is GET /v1/models/{model}.
func oneModel(c *call) error {
	id := strings.TrimPrefix(c.r.URL.Path, "/v1/models/")
	if err := c.model(id); err != nil {
		return err
	}
	c.openAIHeaders()
	c.json(http.StatusOK, modelObject(id))
	return nil
}

func modelObject(id string) object {
	return object{"id": id, "object": "model", "created": 1700000000, "owned_by": "emulator"}
}

func (c *call) openAIHeaders() {
	c.w.Header().Set("Openai-Version", "2020-10-01")
	c.w.Header().Set("Openai-Processing-Ms", "1")
	if organization := c.r.Header.Get("OpenAI-Organization"); organization != "" {
		c.w.Header().Set("Openai-Organization", organization)
	}
}

package provider

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

const geminiModels = "/v1beta/models/"

func gemini() dialect {
	return dialect{
		route: func(method, path string) (endpoint, error) {
			rest, ok := strings.CutPrefix(path, geminiModels)
			name, verb, _ := strings.Cut(rest, ":")
			model, err := url.PathUnescape(name)
			if !ok || err != nil || strings.Contains(name, "/") || verb != "generateContent" && verb != "streamGenerateContent" {
				return nil, notFound(method, path)
			}
			if method != http.MethodPost {
				return nil, notAllowed(method, path)
			}
			return func(c *call) error { return generate(c, model, verb == "streamGenerateContent") }, nil
		},
		keys:    func(h http.Header) []string { return h.Values("X-Goog-Api-Key") },
		explain: geminiError,
	}
}

// geminiError is google.rpc.Status in JSON.
func geminiError(f *failure, _ string) any {
	status := "INVALID_ARGUMENT"
	switch f.status {
	case http.StatusUnauthorized:
		status = "UNAUTHENTICATED"
	case http.StatusForbidden:
		status = "PERMISSION_DENIED"
	case http.StatusNotFound:
		status = "NOT_FOUND"
	case http.StatusTooManyRequests:
		status = "RESOURCE_EXHAUSTED"
	case http.StatusServiceUnavailable, 529:
		status = "UNAVAILABLE"
	case http.StatusInternalServerError, http.StatusBadGateway:
		status = "INTERNAL"
	}
	body := object{"code": f.status, "message": f.message, "status": status}
	if f.code == "invalid_api_key" {
		body["details"] = []object{{
			"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com",
			"metadata": object{"service": "generativelanguage.googleapis.com"},
		}}
	}
	return object{"error": body}
}

type geminiContent struct {
	Role  string `json:"role"` // empty is the user
	Parts []struct {
		Text string `json:"text"`
	} `json:"parts"`
}

func (g geminiContent) text() string {
	texts := make([]string, len(g.Parts))
	for i, part := range g.Parts {
		texts[i] = part.Text
	}
	return strings.Join(texts, "\n")
}

type generateRequest struct {
	Contents         []geminiContent `json:"contents"`
	System           geminiContent   `json:"systemInstruction"`
	SystemSnake      geminiContent   `json:"system_instruction"` // protobuf JSON takes either spelling
	GenerationConfig struct {
		MaxOutputTokens int `json:"maxOutputTokens"`
	} `json:"generationConfig"`
}

// generate is POST /v1beta/models/{model}:generateContent and :streamGenerateContent.
func generate(c *call, model string, streamed bool) error {
	var request generateRequest
	if err := c.decode(&request); err != nil {
		return err
	}
	if err := c.model(model); err != nil {
		return err
	}
	if len(request.Contents) == 0 {
		return invalid("", "* GenerateContentRequest.contents: contents is not specified")
	}
	if streamed && c.r.URL.Query().Get("alt") != "sse" {
		return invalid("", "Only alt=sse is emulated for streams.")
	}
	texts, question := []string{request.System.text(), request.SystemSnake.text()}, ""
	for _, content := range request.Contents {
		if len(content.Parts) == 0 {
			return invalid("", "* GenerateContentRequest.contents: parts must not be empty")
		}
		texts = append(texts, content.text())
		if content.Role == "user" || content.Role == "" {
			question = content.text()
		}
	}
	if err := c.execute(streamed); err != nil {
		return err
	}
	a, id := say(question, request.GenerationConfig.MaxOutputTokens, texts...), rand.Text()
	reply := func(text, reason string, output int) object {
		candidate := object{"content": object{"parts": []object{{"text": text}}, "role": "model"}, "index": 0}
		if reason != "" {
			candidate["finishReason"] = reason
		}
		return object{
			"candidates": []object{candidate}, "modelVersion": model, "responseId": id,
			"usageMetadata": object{"promptTokenCount": a.input, "candidatesTokenCount": output, "totalTokenCount": a.input + output},
		}
	}
	if !streamed {
		c.json(http.StatusOK, reply(a.text(), a.reason("STOP", "MAX_TOKENS"), a.output()))
		return nil
	}
	s, said := c.stream("\r\n"), 0
	s.fail = func(f *failure) { // as Google breaks a stream off: over several lines, and no event
		text, _ := json.MarshalIndent(geminiError(f, ""), "", "  ")
		_, _ = c.w.Write(append(text, '\n'))
	}
	s.words(a.pieces, func(piece string) {
		said++
		reason := ""
		if said == a.output() {
			reason = a.reason("STOP", "MAX_TOKENS")
		}
		s.send("", reply(piece, reason, said))
	})
	return nil
}

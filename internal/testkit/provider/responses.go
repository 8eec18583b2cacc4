package provider

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"time"
)

type responsesRequest struct {
	Model           string          `json:"model"`
	Input           json.RawMessage `json:"input"` // a string, or a list of messages
	Instructions    *string         `json:"instructions"`
	MaxOutputTokens *int            `json:"max_output_tokens"`
	Stream          bool            `json:"stream"`
}

// responses is POST /v1/responses.
func responses(c *call) error {
	var request responsesRequest
	if err := c.decode(&request); err != nil {
		return err
	}
	if err := c.model(request.Model); err != nil {
		return err
	}
	if len(request.Input) == 0 {
		return missing("input")
	}
	var question string
	var texts []string
	if json.Unmarshal(request.Input, &question) == nil {
		texts = []string{question}
	} else {
		var messages []message
		if json.Unmarshal(request.Input, &messages) != nil || len(messages) == 0 {
			return invalid("input", "Invalid type for 'input': expected a string or an array of messages.")
		}
		var err error
		if texts, question, err = conversation(messages); err != nil {
			return err
		}
	}
	if request.Instructions != nil {
		texts = append(texts, *request.Instructions)
	}
	limit := 0
	if request.MaxOutputTokens != nil {
		limit = *request.MaxOutputTokens
	}
	if err := c.execute(request.Stream); err != nil {
		return err
	}
	c.openAIHeaders()
	r := response{request: request, answer: say(question, limit, texts...), id: "resp_" + rand.Text(), item: "msg_" + rand.Text(), created: time.Now().Unix()}
	if request.Stream {
		r.stream(c)
		return nil
	}
	c.json(http.StatusOK, r.finished())
	return nil
}

// response is one answer of the Responses API in its stages.
type response struct {
	request responsesRequest
	answer  answer
	id      string
	item    string
	created int64
}

// started is the response before anything was said.
func (r response) started() object {
	return object{
		"id": r.id, "object": "response", "created_at": r.created, "status": "in_progress", "background": false,
		"error": nil, "incomplete_details": nil, "instructions": r.request.Instructions, "max_output_tokens": r.request.MaxOutputTokens,
		"model": r.request.Model, "output": []any{}, "parallel_tool_calls": true, "previous_response_id": nil,
		"reasoning": object{"effort": nil, "summary": nil}, "store": false, "temperature": 1, "text": object{"format": object{"type": "text"}},
		"tool_choice": "auto", "tools": []any{}, "top_p": 1, "truncation": "disabled", "usage": nil, "user": nil, "metadata": object{},
	}
}

func (r response) finished() object {
	whole := r.started()
	whole["status"] = r.answer.reason("completed", "incomplete")
	if r.answer.cut {
		whole["incomplete_details"] = object{"reason": "max_output_tokens"}
	}
	whole["output"] = []any{r.message(r.answer.reason("completed", "incomplete"), []any{part(r.answer.text())})}
	whole["usage"] = object{
		"input_tokens": r.answer.input, "input_tokens_details": object{"cached_tokens": 0},
		"output_tokens": r.answer.output(), "output_tokens_details": object{"reasoning_tokens": 0},
		"total_tokens": r.answer.input + r.answer.output(),
	}
	return whole
}

func (r response) message(status string, content []any) object {
	return object{"id": r.item, "type": "message", "status": status, "role": "assistant", "content": content}
}

func part(text string) object {
	return object{"type": "output_text", "text": text, "annotations": []any{}, "logprobs": []any{}}
}

// stream tells the response as events. There is no [DONE] in this API: the last event is the response itself.
func (r response) stream(c *call) {
	s, number := c.stream("\n"), 0
	send := func(event string, fields object) {
		payload := maps.Clone(fields)
		payload["type"], payload["sequence_number"] = event, number
		number++
		s.send(event, payload)
	}
	s.fail = func(f *failure) {
		send("error", object{"code": f.kind, "message": f.message, "param": nil})
	}
	place := func(fields object) object {
		fields["item_id"], fields["output_index"], fields["content_index"] = r.item, 0, 0
		return fields
	}
	text, status := r.answer.text(), r.answer.reason("completed", "incomplete")
	send("response.created", object{"response": r.started()})
	send("response.in_progress", object{"response": r.started()})
	send("response.output_item.added", object{"output_index": 0, "item": r.message("in_progress", []any{})})
	send("response.content_part.added", place(object{"part": part("")}))
	s.words(r.answer.pieces, func(piece string) {
		send("response.output_text.delta", place(object{"delta": piece, "logprobs": []any{}}))
	})
	send("response.output_text.done", place(object{"text": text, "logprobs": []any{}}))
	send("response.content_part.done", place(object{"part": part(text)}))
	send("response.output_item.done", object{"output_index": 0, "item": r.message(status, []any{part(text)})})
	send("response."+status, object{"response": r.finished()})
}

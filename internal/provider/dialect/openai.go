package dialect

// chat reads a chunk of Chat Completions or Completions.
// https://developers.openai.com/api/reference/resources/chat/subresources/completions/streaming-events; the error in
// place of a chunk is what openai-node and openai-python raise (core/streaming.ts, _streaming.py). Azure adds chunks
// that carry the judgement of its filters alone:
// https://learn.microsoft.com/azure/foundry/openai/concepts/content-streaming
func (s *Stream) chat(data value) Event {
	if s.goesOn(data, `finish_reason"`) {
		return Output
	}
	e := None
	for key, v := range data.members() {
		switch string(key) {
		case "error":
			if !v.empty() {
				return Error
			}
		case "choices": // none of them in a chunk of usage, or of what a filter says of the prompt
			e = max(e, Metadata)
			for choice := range v.elements() {
				e = max(e, s.chatChoice(choice))
			}
		}
	}
	if e == None {
		return Output
	}
	return e
}

func (s *Stream) chatChoice(choice value) Event {
	e, index, finished := Metadata, 0, false
	for key, v := range choice.members() {
		switch string(key) {
		case "index":
			index = v.number()
		case "finish_reason": // content_filter as well: it is the answer's end, not a failure
			finished = !v.empty()
		case "delta":
			if !v.only("role") {
				e = Output
			}
		case "content_filter_results", "content_filter_offsets", "native_finish_reason":
		default: // text, of Completions; log probabilities; what is not known
			if !v.empty() {
				e = Output
			}
		}
	}
	return max(e, s.choice(index, finished))
}

// responses reads an event of the Responses API. After output, and of an event that is too large, data is not needed.
// https://developers.openai.com/api/reference/resources/responses/streaming-events
func (s *Stream) responses(kind []byte, data value) Event {
	switch string(kind) {
	case "response.created", "response.queued", "response.in_progress":
		s.begun = true
		if data.get("response").get("output").empty() {
			return Metadata
		}
	case "response.output_item.added": // a message or a reasoning without content; a tool call has a name
		if data.get("item").only("id", "type", "status", "role", "phase") {
			return Metadata
		}
	case "response.content_part.added", "response.reasoning_summary_part.added":
		if data.get("part").only("type") {
			return Metadata
		}
	case "keepalive", "ping":
		return Metadata
	case "response.completed", "response.incomplete": // cut by a limit or a filter: an answer all the same
		s.done = true
		return End
	case "response.failed":
		if !data.get("response").get("output").empty() && !s.output {
			s.done = true
			return Output
		}
		return Error
	case "error":
		return Error
	}
	if len(kind) == 0 && !data.get("error").empty() { // what a server or a proxy before it says in the form of Chat
		return Error
	}
	return Output
}

package dialect

// gemini reads a chunk of streamGenerateContent, which is a GenerateContentResponse.
// https://ai.google.dev/api/generate-content and
// https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference; an error is google.rpc.Status under
// "error" (https://cloud.google.com/apis/design/errors). There is no last event: reasons to finish end the stream.
func (s *Stream) gemini(data value) Event {
	if s.goesOn(data, `finishReason"`) {
		return Output
	}
	e := None
	for key, v := range data.members() {
		switch string(key) {
		case "error":
			if !v.empty() {
				return Error
			}
		case "candidates":
			e = max(e, Metadata)
			for candidate := range v.elements() {
				e = max(e, s.candidate(candidate))
			}
		case "promptFeedback":
			e = max(e, Metadata)
			if !v.get("blockReason").empty() { // the whole answer: there will be no candidates
				s.done, e = true, max(e, End)
			}
		case "usageMetadata", "modelVersion", "responseId", "createTime":
			e = max(e, Metadata)
		}
	}
	if e == None {
		return Output
	}
	return e
}

func (s *Stream) candidate(candidate value) Event {
	e, index, finished := Metadata, 0, false
	for key, v := range candidate.members() {
		switch string(key) {
		case "index": // absent for the first, as protobuf has it
			index = v.number()
		case "finishReason":
			finished = !v.empty()
		case "content":
			for part := range v.get("parts").elements() {
				if !part.only("thought") {
					e = Output
				}
			}
		case "safetyRatings", "tokenCount", "avgLogprobs", "finishMessage":
		default:
			if !v.empty() {
				e = Output
			}
		}
	}
	return max(e, s.choice(index, finished))
}

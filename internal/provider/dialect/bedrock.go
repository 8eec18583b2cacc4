package dialect

import (
	"encoding/base64"
	"encoding/json"
)

// converse reads an event of ConverseStream.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
func (s *Stream) converse(kind []byte, payload value) Event {
	switch string(kind) {
	case "messageStart":
		s.begun = true
		return Metadata
	case "contentBlockStop", "metadata":
		return Metadata
	case "contentBlockStart": // says something of tool calls and images alone
		if !s.output && payload.get("start").only() {
			return Metadata
		}
	case "contentBlockDelta":
		if !s.output && payload.get("delta").only() {
			return Metadata
		}
	case "messageStop": // usage follows, and nothing of the answer
		s.done = true
		return End
	}
	return Output
}

// invoke reads an event of InvokeModelWithResponseStream: a chunk whose bytes are in the model's own form. Of any model,
// the last one has Bedrock's count of what it took.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_PayloadPart.html
func (s *Stream) invoke(kind []byte, payload value) Event {
	if string(kind) != "chunk" {
		return Output
	}
	coded := payload.get("bytes").text()
	var err error
	if s.scratch, err = base64.StdEncoding.AppendDecode(s.scratch[:0], coded); err != nil || !s.output && !json.Valid(s.scratch) {
		return Output
	}
	inner := value(s.scratch)
	e := s.messages(inner.get("type").text(), inner)
	if inner.get("amazon-bedrock-invocationMetrics") != nil {
		s.done = true
		e = max(e, End)
	}
	return e
}

package provider

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"
)

const said = `You said: "hello there"` // 4 words

func TestChat(t *testing.T) {
	h := start(t, Config{Kind: OpenAI})
	type completion struct {
		Object  string
		Choices []struct {
			Message      struct{ Role, Content string }
			FinishReason string `json:"finish_reason"`
		}
		Usage struct {
			Prompt     int `json:"prompt_tokens"`
			Completion int `json:"completion_tokens"`
			Total      int `json:"total_tokens"`
		}
	}
	var got completion
	h.post("/v1/chat/completions", `{"model":"m","messages":[{"role":"system","content":"be kind"},{"role":"user","content":"before"},
		{"role":"assistant","content":null},{"role":"user","content":[{"type":"text","text":"hello there"},{"type":"image_url","image_url":{"url":"x"}}]}]}`, &got)
	if got.Object != "chat.completion" || got.Choices[0].Message.Content != said || got.Choices[0].FinishReason != "stop" ||
		got.Usage.Prompt != 5 || got.Usage.Completion != 4 || got.Usage.Total != 9 {
		t.Errorf("%+v", got)
	}
	var short completion
	h.post("/v1/chat/completions", `{"model":"m","max_tokens":2,"messages":[{"role":"user","content":"hello there"}]}`, &short)
	if short.Choices[0].Message.Content != "You said:" || short.Choices[0].FinishReason != "length" || short.Usage.Completion != 2 {
		t.Errorf("%+v", short)
	}
	if h.Executions() != 2 {
		t.Errorf("%d executions", h.Executions())
	}
}

func TestChatStream(t *testing.T) {
	h := start(t, Config{Kind: OpenAI})
	type chunk struct {
		Object  string
		Choices []struct {
			Delta        struct{ Role, Content string }
			FinishReason *string `json:"finish_reason"`
		}
		Usage *struct {
			Total int `json:"total_tokens"`
		}
	}
	for _, usage := range []bool{false, true} {
		body := `{"model":"m","stream":true,"messages":[{"role":"user","content":"hello there"}]}`
		if usage {
			body = strings.Replace(body, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1)
		}
		events := h.stream("/v1/chat/completions", body, "\n")
		if last := events[len(events)-1]; last.data != "[DONE]" {
			t.Errorf("last event %v", last)
		}
		text, reason, total := "", "", 0
		for _, e := range events[:len(events)-1] {
			c := read[chunk](t, e.data)
			if c.Object != "chat.completion.chunk" || e.name != "" {
				t.Errorf("%+v", e)
			}
			for _, choice := range c.Choices {
				text += choice.Delta.Content
				if choice.FinishReason != nil {
					reason = *choice.FinishReason
				}
			}
			if c.Usage != nil {
				total = c.Usage.Total
			}
		}
		if text != said || reason != "stop" || (total == 6) != usage {
			t.Errorf("usage %t: %q, %s, %d", usage, text, reason, total)
		}
	}
}

func TestResponses(t *testing.T) {
	h := start(t, Config{Kind: OpenAI})
	type response struct {
		Object, Status string
		Output         []struct {
			Content []struct{ Type, Text string }
		}
		Incomplete *struct{ Reason string } `json:"incomplete_details"`
		Usage      struct {
			Input  int `json:"input_tokens"`
			Output int `json:"output_tokens"`
		}
	}
	var got response
	h.post("/v1/responses", `{"model":"m","instructions":"be kind","input":"hello there"}`, &got)
	if got.Object != "response" || got.Status != "completed" || got.Output[0].Content[0].Text != said || got.Usage.Input != 4 || got.Usage.Output != 4 {
		t.Errorf("%+v", got)
	}
	events := h.stream("/v1/responses", `{"model":"m","max_output_tokens":3,"stream":true,"input":[{"role":"user","content":[{"type":"input_text","text":"hello there"}]}]}`, "\n")
	text := ""
	var last response
	for i, e := range events {
		fields := read[struct {
			Type     string
			Number   int `json:"sequence_number"`
			Delta    string
			Response response
		}](t, e.data)
		if fields.Type != e.name || fields.Number != i {
			t.Errorf("event %d: %+v", i, e)
		}
		text, last = text+fields.Delta, fields.Response
	}
	if events[0].name != "response.created" || events[len(events)-1].name != "response.incomplete" ||
		text != `You said: "hello` || last.Output[0].Content[0].Text != text || last.Incomplete.Reason != "max_output_tokens" {
		t.Errorf("%q, %+v", text, last)
	}
	if h.Executions() != 2 {
		t.Errorf("%d executions", h.Executions())
	}
}

func TestEmbeddings(t *testing.T) {
	h := start(t, Config{Kind: OpenAI})
	type list struct {
		Data []struct {
			Index     int
			Embedding json.RawMessage
		}
		Usage struct {
			Prompt int `json:"prompt_tokens"`
		}
	}
	var plain, packed, tokens list
	h.post("/v1/embeddings", `{"model":"m","input":["hello there","other"],"dimensions":5}`, &plain)
	h.post("/v1/embeddings", `{"model":"m","input":"hello there","dimensions":5,"encoding_format":"base64"}`, &packed)
	h.post("/v1/embeddings", `{"model":"m","input":[[1,2],[3]]}`, &tokens)
	vector := read[[]float32](t, string(plain.Data[0].Embedding))
	raw, err := base64.StdEncoding.DecodeString(read[string](t, string(packed.Data[0].Embedding)))
	if err != nil || len(raw) != 4*len(vector) || len(vector) != 5 || plain.Data[1].Index != 1 || plain.Usage.Prompt != 3 {
		t.Fatalf("%v: %+v, %+v", err, plain, packed)
	}
	norm := 0.0
	for i, value := range vector {
		norm += float64(value) * float64(value)
		if other := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])); other != value {
			t.Errorf("place %d: %v as float, %v as base64", i, value, other)
		}
	}
	if math.Abs(norm-1) > 1e-5 {
		t.Errorf("length %v", norm)
	}
	if len(tokens.Data) != 2 || tokens.Usage.Prompt != 3 || len(read[[]float32](t, string(tokens.Data[0].Embedding))) != defaultDimensions {
		t.Errorf("tokens: %d, %+v", len(tokens.Data), tokens.Usage)
	}
}

func TestModels(t *testing.T) {
	h := start(t, Config{Kind: OpenAI, Models: []string{"a", "ft:b/c"}})
	response, body := h.call(http.MethodGet, "/v1/models", h.header, "")
	list := read[struct{ Data []struct{ ID string } }](t, body)
	if response.StatusCode != 200 || len(list.Data) != 2 || list.Data[1].ID != "ft:b/c" {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	if response, body := h.call(http.MethodGet, "/v1/models/ft:b%2Fc", h.header, ""); response.StatusCode != 200 || !strings.Contains(body, `"ft:b/c"`) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	if h.Executions() != 0 {
		t.Error("a list of models counted as an inference")
	}
}

func TestMessages(t *testing.T) {
	h := start(t, Config{Kind: Anthropic})
	h.header["Anthropic-Beta"] = []string{"one", "two"}
	type reply struct {
		Type, Role string
		Content    []struct{ Type, Text string }
		StopReason string `json:"stop_reason"`
		Usage      struct {
			Input  int `json:"input_tokens"`
			Output int `json:"output_tokens"`
		}
	}
	var got reply
	response := h.post("/v1/messages", `{"model":"m","max_tokens":50,"system":[{"type":"text","text":"be kind"}],"messages":[{"role":"user","content":"hello there"}]}`, &got)
	if got.Type != "message" || got.Content[0].Text != said || got.StopReason != "end_turn" || got.Usage.Input != 4 || got.Usage.Output != 4 ||
		response.Header.Get("Anthropic-Beta") != "one,two" {
		t.Errorf("%+v %v", got, response.Header)
	}
	events := h.stream("/v1/messages", `{"model":"m","max_tokens":3,"stream":true,"messages":[{"role":"user","content":"hello there"}]}`, "\n")
	text, names := "", []string{}
	for _, e := range events {
		fields := read[struct {
			Type  string
			Delta struct {
				Text       string
				StopReason string `json:"stop_reason"`
			}
			Usage struct {
				Output int `json:"output_tokens"`
			}
		}](t, e.data)
		text += fields.Delta.Text
		names = append(names, e.name)
		if fields.Type != e.name || e.name == "message_delta" && (fields.Delta.StopReason != "max_tokens" || fields.Usage.Output != 3) {
			t.Errorf("%+v", e)
		}
	}
	const order = "message_start content_block_start ping content_block_delta content_block_delta content_block_delta content_block_stop message_delta message_stop"
	if text != `You said: "hello` || strings.Join(names, " ") != order {
		t.Errorf("%q from %v", text, names)
	}
	if h.Executions() != 2 {
		t.Errorf("%d executions", h.Executions())
	}
}

func TestGenerate(t *testing.T) {
	h := start(t, Config{Kind: Gemini})
	type reply struct {
		Candidates []struct {
			Content      struct{ Parts []struct{ Text string } }
			FinishReason string
		}
		UsageMetadata struct{ PromptTokenCount, CandidatesTokenCount, TotalTokenCount int }
		ModelVersion  string
	}
	const body = `{"systemInstruction":{"parts":[{"text":"be kind"}]},"contents":[{"role":"user","parts":[{"text":"hello there"}]}]}`
	var got reply
	h.post("/v1beta/models/gemini-2.5-pro:generateContent", body, &got)
	if got.Candidates[0].Content.Parts[0].Text != said || got.Candidates[0].FinishReason != "STOP" || got.ModelVersion != "gemini-2.5-pro" ||
		got.UsageMetadata.PromptTokenCount != 4 || got.UsageMetadata.TotalTokenCount != 8 {
		t.Errorf("%+v", got)
	}
	text := ""
	for _, e := range h.stream("/v1beta/models/m:streamGenerateContent?alt=sse", body, "\r\n") {
		got = read[reply](t, e.data)
		text += got.Candidates[0].Content.Parts[0].Text
	}
	if text != said || got.Candidates[0].FinishReason != "STOP" || got.UsageMetadata.CandidatesTokenCount != 4 {
		t.Errorf("%q, %+v", text, got)
	}
	if h.Executions() != 2 {
		t.Errorf("%d executions", h.Executions())
	}
}

func TestConverse(t *testing.T) {
	h := start(t, Config{Kind: Bedrock})
	type reply struct {
		Output struct {
			Message struct{ Content []struct{ Text string } }
		}
		StopReason string
		Usage      struct{ InputTokens, OutputTokens, TotalTokens int }
	}
	var got reply
	h.post("/model/us.amazon.nova-micro-v1%3A0/converse", `{"system":[{"text":"be kind"}],"messages":[{"role":"user","content":[{"text":"hello there"}]}],"inferenceConfig":{"maxTokens":3}}`, &got)
	if got.Output.Message.Content[0].Text != `You said: "hello` || got.StopReason != "max_tokens" || got.Usage.InputTokens != 4 || got.Usage.TotalTokens != 7 {
		t.Errorf("%+v", got)
	}
	h.header.Set("Authorization", "Bearer wrong")
	if response, _ := h.call(http.MethodPost, valid[Bedrock].path, h.header, valid[Bedrock].body); response.Header.Get("X-Amzn-Errortype") != "AccessDeniedException" {
		t.Errorf("%v", response.Header)
	}
}

func TestAnswerQuotesNoMoreThanItMay(t *testing.T) {
	if got := Answer(strings.Repeat("é", maxQuote)); len(got) > maxQuote+100 || !strings.HasSuffix(got, `…"`) {
		t.Errorf("%d bytes", len(got))
	}
	odd := "two  spaces\nand a line "
	if got := say(odd, 0, odd); got.text() != Answer(odd) || got.output() != Tokens(Answer(odd)) || got.input != 5 {
		t.Errorf("%q, %d, %d", got.text(), got.output(), got.input)
	}
}

package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
)

const (
	defaultDimensions = 1536
	maxDimensions     = 3072
	maxInputs         = 2048 // as OpenAI documents
)

type embeddingsRequest struct {
	Model          string          `json:"model"`
	Input          json.RawMessage `json:"input"` // a string, strings, tokens, or lists of tokens
	EncodingFormat string          `json:"encoding_format"`
	Dimensions     int             `json:"dimensions"`
}

// embeddings is POST /v1/embeddings.
func embeddings(c *call) error {
	request := embeddingsRequest{EncodingFormat: "float", Dimensions: defaultDimensions}
	if err := c.decode(&request); err != nil {
		return err
	}
	if err := c.model(request.Model); err != nil {
		return err
	}
	inputs, tokens, ok := embeddingInputs(request.Input)
	switch {
	case len(request.Input) == 0:
		return missing("input")
	case !ok || len(inputs) == 0 || len(inputs) > maxInputs:
		return invalid("input", "'$.input' is invalid.")
	case request.Dimensions < 1 || request.Dimensions > maxDimensions:
		return invalid("dimensions", "Invalid value for 'dimensions'.")
	case request.EncodingFormat != "float" && request.EncodingFormat != "base64":
		return invalid("encoding_format", "Invalid value for 'encoding_format'.")
	}
	if err := c.execute(false); err != nil {
		return err
	}
	list := make([]object, len(inputs))
	for i, input := range inputs {
		vector := embed(input, request.Dimensions)
		list[i] = object{"object": "embedding", "index": i, "embedding": vector}
		if request.EncodingFormat == "base64" { // what the official SDK asks for on its own
			raw := make([]byte, 0, 4*len(vector))
			for _, value := range vector {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(value))
			}
			list[i]["embedding"] = base64.StdEncoding.EncodeToString(raw)
		}
	}
	c.openAIHeaders()
	c.json(http.StatusOK, object{
		"object": "list", "model": request.Model, "data": list,
		"usage": object{"prompt_tokens": tokens, "total_tokens": tokens},
	})
	return nil
}

// embeddingInputs reads the four forms of an input; a list of tokens stands for itself.
func embeddingInputs(raw json.RawMessage) (inputs []string, tokens int, ok bool) {
	var text string
	var flat []int
	var lists [][]int
	switch {
	case json.Unmarshal(raw, &text) == nil:
		inputs = []string{text}
	case json.Unmarshal(raw, &flat) == nil:
		return []string{string(raw)}, len(flat), len(flat) > 0
	case json.Unmarshal(raw, &lists) == nil:
		for _, list := range lists {
			key, _ := json.Marshal(list) // integers always encode
			inputs, tokens = append(inputs, string(key)), tokens+len(list)
		}
		return inputs, tokens, true
	case json.Unmarshal(raw, &inputs) != nil:
		return nil, 0, false
	}
	for _, input := range inputs {
		if input == "" {
			return nil, 0, false
		}
		tokens += Tokens(input)
	}
	return inputs, tokens, true
}

// embed is a vector of length 1 that the text alone decides.
func embed(text string, dimensions int) []float32 {
	seed := sha256.Sum256([]byte(text))
	values := make([]float64, 0, dimensions+8)
	var norm float64
	for block := uint32(0); len(values) < dimensions; block++ {
		sum := sha256.Sum256(binary.LittleEndian.AppendUint32(seed[:], block))
		for i := 0; i < len(sum) && len(values) < dimensions; i += 4 {
			value := float64(binary.LittleEndian.Uint32(sum[i:]))/math.MaxUint32 - 0.5
			values = append(values, value)
			norm += value * value
		}
	}
	vector := make([]float32, dimensions)
	for i, value := range values {
		vector[i] = float32(value / math.Sqrt(norm))
	}
	return vector
}

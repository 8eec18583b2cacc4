package provider

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

const maxQuote = 4000 // bytes of a question that the answer repeats

// object is a JSON object on its way out.
type object = map[string]any

// answer is what the emulator says, and what that cost.
type answer struct {
	pieces []string // the words, each with the space before it
	input  int      // words asked
	cut    bool     // a limit ended it early
}

// word is a word with the space before it: joined again, words are the text.
var word = regexp.MustCompile(`\s*\S+`)

// Answer is the text that every emulator gives to a question: the last user message.
func Answer(question string) string {
	if len(question) > maxQuote {
		question = strings.ToValidUTF8(question[:maxQuote], "") + "…"
	}
	return `You said: "` + question + `"`
}

// Tokens is how many tokens the emulators take a text for: its words.
func Tokens(text string) int { return len(strings.Fields(text)) }

// say answers the question, in at most limit words where there is a limit, and counts all the texts of the request.
func say(question string, limit int, texts ...string) answer {
	a := answer{pieces: word.FindAllString(Answer(question), -1)}
	if limit > 0 && limit < len(a.pieces) {
		a.pieces, a.cut = a.pieces[:limit], true
	}
	for _, text := range texts {
		a.input += Tokens(text)
	}
	return a
}

func (a answer) text() string { return strings.Join(a.pieces, "") }

func (a answer) output() int { return len(a.pieces) }

// reason is how the answer ended, in a provider's words.
func (a answer) reason(whole, cut string) string {
	if a.cut {
		return cut
	}
	return whole
}

// message is one turn of a conversation, as OpenAI and Anthropic have it.
type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// conversation reads turns: all their texts, and the last one of the user.
func conversation(messages []message) (texts []string, question string, err error) {
	for i, m := range messages {
		if m.Role == "" {
			return nil, "", missing("messages[" + strconv.Itoa(i) + "].role")
		}
		text, ok := textOf(m.Content)
		if !ok {
			return nil, "", invalid("messages["+strconv.Itoa(i)+"].content", "Invalid type for 'messages[%d].content': expected a string or an array of parts.", i)
		}
		texts = append(texts, text)
		if m.Role == "user" {
			question = text
		}
	}
	return texts, question, nil
}

// textOf reads content that is a string or a list of parts, of which those with a text count. Absent content is empty.
func textOf(content json.RawMessage) (text string, ok bool) {
	if len(content) == 0 || string(content) == "null" || json.Unmarshal(content, &text) == nil {
		return text, true
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(content, &parts) != nil {
		return "", false
	}
	var texts []string
	for _, part := range parts {
		if part.Text != "" {
			texts = append(texts, part.Text)
		}
	}
	return strings.Join(texts, "\n"), true
}

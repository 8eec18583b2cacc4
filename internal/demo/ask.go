package demo

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/ebbgate/ebbgate/internal/testkit/provider"
)

// What the client asks.
const (
	chats      = "/v1/chat/completions"
	embeddings = "/v1/embeddings"
	responses  = "/v1/responses"

	hello    = "Hello"
	question = `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"` + hello + `"}]}`
	sample   = `{"model":"text-embedding-3-small","input":"` + hello + `"}`
	turn     = `{"model":"gpt-4o-mini","input":"` + hello + `"}`
)

// reply is what a client got, as one line: the status, and what the provider said or the gateway's reason.
type reply string

// answered is a chat's reply as it should be.
func answered() reply { return reply("200 " + provider.Answer(hello)) }

// ask makes a POST of the gateway, with no credential; a named one is known to the providers' ledger.
func (d *demo) ask(ctx context.Context, path, body, name string) reply {
	return post(ctx, d.client, d.url()+path, body, name)
}

func (d *demo) chat(ctx context.Context, name string) reply { return d.ask(ctx, chats, question, name) }

// straight makes the POST of a provider itself, past the gateway, and without a key.
func (d *demo) straight(ctx context.Context, f *far) reply {
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: d.authority.Pool(), ServerName: f.Hostname,
	}}
	defer transport.CloseIdleConnections()
	return post(ctx, &http.Client{Timeout: patience, Transport: transport}, f.URL()+chats, question, "")
}

func post(ctx context.Context, client *http.Client, url, body, name string) reply {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return reply(err.Error())
	}
	request.Header.Set("Content-Type", "application/json")
	if name != "" {
		request.Header.Set(provider.LedgerField, name)
	}
	response, err := client.Do(request)
	if err != nil {
		return reply("no answer: " + err.Error())
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return reply("no whole answer: " + err.Error())
	}
	var said struct {
		Choices []struct{ Message struct{ Content string } }
		Reason  string // of a problem document, which is the gateway's
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return reply(fmt.Sprintf("%d, and no JSON: %s", response.StatusCode, err))
	}
	what := said.Reason
	if len(said.Choices) > 0 {
		what = cmp.Or(what, said.Choices[0].Message.Content)
	}
	return reply(strings.TrimSpace(fmt.Sprintf("%d %s", response.StatusCode, what)))
}

func (d *demo) url() string { return fmt.Sprintf("http://localhost:%d", d.Port) }

// curl shows the POST as it would be typed.
func (d *demo) curl(path, body string) {
	d.say("$ curl %s%s -H 'content-type: application/json' \\\n    -d '%s'\n", d.url(), path, body)
	d.print("\n")
}

// yaml shows a file of the folder.
func (d *demo) yaml(name string) error {
	text, err := d.read(name)
	if err != nil {
		return err
	}
	d.say("%s", text)
	d.print("\n")
	return nil
}

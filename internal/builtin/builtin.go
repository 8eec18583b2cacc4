// Package builtin is the configuration that the command serves without files: the quickstart, with a provider emulator
// at its far end, and the well-known providers whose keys are in the environment. It writes the same YAML that a user
// would, which goes the same way; it serves nothing itself.
package builtin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"

	_ "embed"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
)

// Config says where the built-in gateway listens.
type Config struct {
	Address string // IP address; 127.0.0.1 unless the user says otherwise
	Port    int
	Schema  *schema.Validator
}

// Service is one provider as the gateway offers it.
type Service struct {
	Name     string // openai: also the first segment of its path here
	Title    string // OpenAI
	Variable string // environment variable that holds its key
	Hostname string
	Port     int
	Header   string
	Prefix   string // before the key
	BasePath string // what SDKs want behind the provider's own segment: /v1 or nothing
	Key      string
	Root     string // PEM of a private root; empty for the system's
	Pinned   string // address instead of DNS; empty for DNS
}

// BaseURL is what a client is given to reach the provider through the gateway.
func (s *Service) BaseURL(port int) string {
	return fmt.Sprintf("http://localhost:%d/%s%s", port, s.Name, s.BasePath)
}

// known are the providers, as their documentation wants their keys.
func known() []Service {
	return []Service{
		{Name: "openai", Title: "OpenAI", Variable: "OPENAI_API_KEY", Hostname: "api.openai.com", Header: "Authorization", Prefix: "Bearer ", BasePath: "/v1"},
		{Name: "anthropic", Title: "Anthropic", Variable: "ANTHROPIC_API_KEY", Hostname: "api.anthropic.com", Header: "x-api-key"},
		{Name: "gemini", Title: "Gemini", Variable: "GEMINI_API_KEY", Hostname: "generativelanguage.googleapis.com", Header: "x-goog-api-key"},
	}
}

// ErrNoKeys says that no provider's key is in the environment.
var ErrNoKeys = errors.New("nothing to serve: no -f, and none of OPENAI_API_KEY, ANTHROPIC_API_KEY and GEMINI_API_KEY is set " +
	"(give a folder with -f, set a key, or try --quickstart)")

// Providers are the well-known providers whose keys environment has.
func Providers(environment func(string) string) ([]Service, error) {
	var found []Service
	for _, s := range known() {
		if s.Key, s.Port = environment(s.Variable), 443; s.Key == "" {
			continue
		}
		if strings.TrimSpace(s.Key) != s.Key || strings.ContainsFunc(s.Key, func(c rune) bool { return c < ' ' || c > '~' }) {
			return nil, fmt.Errorf("%s: not a key: white space is around it, or it holds a character that no header may have", s.Variable)
		}
		found = append(found, s)
	}
	if len(found) == 0 {
		return nil, ErrNoKeys
	}
	return found, nil
}

//go:embed builtin.yaml
var text string

// Snapshot is the configuration that serves the services.
func Snapshot(ctx context.Context, c Config, services []Service) (*source.Snapshot, error) {
	page, err := template.New("builtin.yaml").Funcs(template.FuncMap{"quote": quote, "indent": indent}).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse built-in configuration: %w", err)
	}
	var out bytes.Buffer
	if err := page.Execute(&out, struct {
		Config
		Services []Service
	}{c, services}); err != nil {
		return nil, errors.New("write built-in configuration") // the cause could quote a key
	}
	return read(ctx, c.Schema, out.Bytes())
}

func read(ctx context.Context, v *schema.Validator, documents []byte) (*source.Snapshot, error) {
	snapshot := &source.Snapshot{Objects: map[string]source.Object{}}
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(documents)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return snapshot, nil
		}
		var asJSON []byte
		u := &unstructured.Unstructured{}
		if err == nil {
			asJSON, err = sigsyaml.YAMLToJSON(document)
		}
		if err == nil {
			err = u.UnmarshalJSON(asJSON)
		}
		if err != nil {
			return nil, errors.New("read built-in configuration: it does not parse") // the cause could quote a key
		}
		name := plan.ObjectName(u.GetKind(), u.GetNamespace(), u.GetName())
		if issues := v.Check(ctx, u); len(issues) > 0 {
			return nil, fmt.Errorf("check built-in configuration: %s: %s", name, issues[0].String())
		}
		object, err := v.Decode(u)
		if err != nil {
			return nil, fmt.Errorf("decode built-in configuration: %s: %w", name, err)
		}
		snapshot.Objects[plan.ObjectName(u.GetKind(), u.GetNamespace(), u.GetName())] = object
	}
}

// Try is a first call of the service, to be typed into a shell.
func (s *Service) Try(port int) string {
	switch s.Name {
	case "anthropic":
		return fmt.Sprintf("  curl %s/v1/messages -H 'content-type: application/json' -H 'anthropic-version: 2023-06-01' \\\n"+
			"    -d '{\"model\":\"claude-sonnet-5\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n", s.BaseURL(port))
	case "gemini":
		return fmt.Sprintf("  curl %s/v1beta/models/gemini-2.5-flash:generateContent -H 'content-type: application/json' \\\n"+
			"    -d '{\"contents\":[{\"parts\":[{\"text\":\"Hello\"}]}]}'\n", s.BaseURL(port))
	}
	return fmt.Sprintf("  curl %s/chat/completions -H 'content-type: application/json' \\\n"+
		"    -d '{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n", s.BaseURL(port))
}

// Package distribute carries the plan from the controller to the proxies, over delta xDS (Envoy's discovery protocol, v3)
// with our own resources as payload: one for each Gateway, rule, backend, policy and Secret of the plan, in JSON.
//
// A Server sends each proxy what its one Gateway needs (Part), whole generation by whole generation; a Client puts a
// generation together and hands it over as a plan, or rejects by name what of it cannot be read. On a stream of their own it
// tells of the cluster's Pods (docs/decisions/0010). Neither translates nor
// serves, and who a proxy is its configuration decides: controller and ebbgate-proxy wire them.
//
// This is the one place where secrets are written in the clear, for a connection that is always TLS.
package distribute

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// typeURL is what a proxy subscribes to; a resource's own type is behind it: Gateway, Rule, Backend, Policy, Secret, and
// Generation, which ends one.
const typeURL = "type.ebbgate.dev/ebbgate.plan.v1."

// kind is a kind of resource. Its number is its place in the order in which resources are written and read.
type kind int

const (
	gateways kind = iota
	rules
	backends
	policies
	secrets
)

// forms are the kinds' types and the first segments of their resources' names.
var forms = [...]struct{ typeURL, prefix string }{
	gateways: {typeURL + "Gateway", "gateway/"},
	rules:    {typeURL + "Rule", "rule/"},
	backends: {typeURL + "Backend", "backend/"},
	policies: {typeURL + "Policy", "policy/"},
	secrets:  {typeURL + "Secret", "secret/"},
}

// kindOf is the kind and the plan name of a resource's name.
func kindOf(name string) (k kind, planName string, ok bool) {
	for k, form := range forms {
		if rest, ok := strings.CutPrefix(name, form.prefix); ok {
			return kind(k), rest, rest != ""
		}
	}
	return 0, "", false
}

// isSecret reports whether a resource's name is a Secret's.
func isSecret(name string) bool { return strings.HasPrefix(name, forms[secrets].prefix) }

// secretForm is a Secret in the clear.
type secretForm struct {
	Name string            `json:"name"`
	Data map[string][]byte `json:"data"`
}

// policyForm is a policy whose config is not read yet.
type policyForm struct {
	plan.Policy
	Config json.RawMessage `json:"config"`
}

// encode is the payload of a plan's resource. It writes secrets in the clear.
func encode(resource any) (plan.Sensitive, error) {
	if s, ok := resource.(*plan.Secret); ok {
		form := secretForm{Name: s.Name, Data: map[string][]byte{}}
		for key, value := range s.Data {
			form.Data[key] = append([]byte{}, value.Reveal()...)
		}
		resource = form
	}
	payload, err := marshal(resource)
	return plan.NewSensitive(payload), err
}

// marshal writes JSON that is no HTML: with what could be a tag escaped, an object that the API server takes could have six
// times its size.
func marshal(content any) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(content); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// version tells whether two contents are the same.
func version(payload plan.Sensitive) string {
	sum := sha256.Sum256(payload.Reveal())
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// secretVersion is a Secret's: by itself a hash would let whoever reads it try values. The key is one that the proxy drew
// when it started, so that versions stay the same from one controller to the next.
func secretVersion(key string, payload plan.Sensitive) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write(payload.Reveal())
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// errSecret does not say what is wrong: that could quote from it.
var errSecret = errors.New("the content cannot be read")

// decode reads a payload, in which nothing may be that we do not know: it could be what protects the rest. configs makes
// a kind of policy's empty config; nil for a kind that is not known.
func decode(k kind, name string, payload []byte, configs func(kind string) any) (resource any, err error) {
	var read string
	switch k {
	case gateways:
		g := new(plan.Gateway)
		resource, err = g, strict(payload, g)
		read = g.Name
		for _, l := range g.Listeners {
			if l == nil {
				err = errors.Join(err, errors.New("a listener is null"))
			}
		}
	case rules:
		r := new(plan.Rule)
		resource, err = r, strict(payload, r)
		read = r.Name
	case backends:
		b := new(plan.Backend)
		resource, err = b, strict(payload, b)
		read = b.Name
	case policies:
		var form policyForm
		if err = strict(payload, &form); err == nil {
			form.Policy.Config, err = decodeConfig(form, configs)
			err = errors.Join(err, known(form.Targets))
		}
		resource, read = &form.Policy, form.Name
	case secrets:
		var form secretForm
		if strict(payload, &form) != nil {
			err = errSecret
		}
		s := &plan.Secret{Name: form.Name, Data: map[string]plan.Sensitive{}}
		for key, value := range form.Data {
			s.Data[key] = plan.NewSensitive(value)
		}
		resource, read = s, form.Name
	}
	if err == nil && read != name {
		err = errors.New("the content is of another name")
	}
	if err != nil {
		return nil, err
	}
	return resource, nil
}

func decodeConfig(form policyForm, configs func(kind string) any) (any, error) {
	config := configs(form.Kind)
	if config == nil {
		return nil, fmt.Errorf("this version of the proxy does not know the kind %s", form.Kind)
	}
	if err := strict(form.Config, config); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return config, nil
}

// known says which target is of a kind that we would pass over.
func known(targets []plan.Target) error {
	for _, t := range targets {
		switch t.Kind {
		case plan.TargetClass, plan.TargetGateway, plan.TargetListener, plan.TargetBackend, plan.TargetPort, plan.TargetRoute, plan.TargetRule:
		default:
			return fmt.Errorf("this version of the proxy does not know targets of the kind %s", t.Kind)
		}
	}
	return nil
}

// strict reads one JSON value whose every field is known.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}

// closed is what stands in for a rule or a policy that cannot be read: as much of it as says what it concerns, with a
// fault, so that this fails closed. Nil where not even that can be read, and for other kinds, whose absence fails closed
// by itself.
func closed(k kind, name string, payload []byte, why error) any {
	fault := &plan.Fault{Reason: "Rejected", Message: "the proxy cannot read " + name + ": " + why.Error()}
	switch k {
	case rules:
		r := new(plan.Rule)
		if json.Unmarshal(payload, r) == nil && r.Name == name && len(r.Matches) > 0 && len(r.Parents) > 0 {
			r.Fault = fault
			return r
		}
	case policies:
		var form policyForm
		if json.Unmarshal(payload, &form) == nil && form.Name == name && len(form.Targets) > 0 {
			p := form.Policy
			p.Config, p.Fault = nil, fault
			return &p
		}
	}
	return nil
}

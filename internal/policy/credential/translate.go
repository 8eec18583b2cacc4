package credential

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/clients"
)

const (
	authorization = "Authorization"
	bearer        = "Bearer "
	defaultKey    = "token"
)

// reader resolves references of an object of the namespace.
type reader struct {
	policy.References
	namespace string
}

func translate(references policy.References, object policy.Object) any {
	refs := reader{references, object.GetNamespace()}
	spec := &object.(*v1alpha1.CredentialInjector).Spec
	c := &Config{
		Type:   string(spec.Type),
		APIKey: apiKey(refs, "spec.apiKey", spec.APIKey), Basic: basic(refs, "spec.basic", spec.Basic),
		Headers:           headers(refs, "spec.headers", spec.Headers),
		ClientCredentials: string(spec.ClientCredentials), OnUnavailable: string(spec.OnUnavailable),
	}
	contradict(refs, "spec.headers", c.Headers, c.APIKey)
	for i := range spec.PerClient {
		entry, field := &spec.PerClient[i], fmt.Sprintf("spec.perClient[%d]", i)
		own := ClientCredential{
			Clients: clients.Translate(entry.Clients),
			APIKey:  apiKey(refs, field+".apiKey", entry.APIKey), Basic: basic(refs, field+".basic", entry.Basic),
			Headers: headers(refs, field+".headers", entry.Headers),
		}
		key := own.APIKey
		if key == nil && own.Basic == nil {
			key = c.APIKey
		}
		contradict(refs, field+".headers", own.Headers, key)
		if own.APIKey != nil {
			contradict(refs, "spec.headers", c.Headers, own.APIKey)
		}
		c.PerClient = append(c.PerClient, own)
	}
	return c
}

func apiKey(refs reader, field string, written *v1alpha1.APIKeyCredential) *APIKey {
	if written == nil {
		return nil
	}
	key := &APIKey{
		Reference: secretKey(refs, field+".secretRef", &written.SecretRef, fieldFault),
		Header:    cmp.Or(string(written.Header), authorization),
	}
	switch {
	case written.Prefix != nil:
		key.Prefix = *written.Prefix
	case exchange.EqualFold(key.Header, authorization):
		key.Prefix = bearer
	}
	return key
}

func basic(refs reader, field string, written *v1alpha1.BasicCredential) *Basic {
	if written == nil {
		return nil
	}
	part := func(key string, check func([]byte) string) Reference {
		return secretKey(refs, field+".secretRef", &v1alpha1.SecretKeyReference{
			Name: written.SecretRef.Name, Namespace: written.SecretRef.Namespace, Key: key,
		}, check)
	}
	return &Basic{Username: part(corev1.BasicAuthUsernameKey, usernameFault), Password: part(corev1.BasicAuthPasswordKey, textFault)}
}

func headers(refs reader, field string, written []v1alpha1.InjectedHeader) []Header {
	var list []Header
	for i := range written {
		w := &written[i]
		h := Header{Name: string(w.Name)}
		if w.Value != nil {
			h.Value = *w.Value
		}
		if w.SecretRef != nil {
			reference := secretKey(refs, fmt.Sprintf("%s[%d].secretRef", field, i), w.SecretRef, fieldFault)
			h.Secret = &reference
		}
		list = append(list, h)
	}
	return list
}

func secretKey(refs reader, field string, written *v1alpha1.SecretKeyReference, check func([]byte) string) Reference {
	namespace := ""
	if written.Namespace != nil {
		namespace = string(*written.Namespace)
	}
	r := Reference{Key: cmp.Or(written.Key, defaultKey)}
	if r.Secret = refs.Secret(field, namespace, string(written.Name), r.Key, check); r.Secret == "" {
		r.Lost = cmp.Or(namespace, refs.namespace) + "/" + string(written.Name)
	}
	return r
}

// contradict reports headers that are written to the credential's own; key is nil for Basic.
func contradict(refs reader, field string, list []Header, key *APIKey) {
	name := authorization
	if key != nil {
		name = key.Header
	}
	for i, h := range list {
		if exchange.EqualFold(h.Name, name) {
			refs.Invalid(fmt.Sprintf("%s[%d].name", field, i), "the credential itself is written to "+name, "take the header out, or name another")
		}
	}
}

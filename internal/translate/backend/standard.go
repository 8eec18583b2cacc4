package backend

import (
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Standard is what an XBackend has and a Backend has not: its status, in the shape of its Gateway API version.
type Standard struct {
	object *unstructured.Unstructured
	newer  bool // of v1.7: port.number and status.ancestors; else of v1.6: port.port and status.parents
}

// TranslateStandard makes the plan of an XBackend: it is read into our own kind, whose shape is the standard's
// (GEP-4894).
func TranslateStandard(r *derive.Reader, in *attach.Inputs, key string, object *unstructured.Unstructured) map[string]*Translated {
	problems := &attach.Problems{Object: key}
	t := &Translated{Standard: &Standard{object: object, newer: newer(object)}}
	t.Backend = read(object, t.Standard.newer, problems)
	t.translate(r, in, problems)
	return map[string]*Translated{key: t}
}

// StandardHostname is what an XBackend is called, in lower case.
func StandardHostname(object *unstructured.Unstructured) string {
	hostname, _, _ := unstructured.NestedString(object.Object, "spec", "externalHostname", "hostname")
	return strings.ToLower(hostname)
}

// StandardPort is the port of an XBackend.
func StandardPort(object *unstructured.Unstructured) int32 {
	name := "port"
	if newer(object) {
		name = "number"
	}
	port, _, err := unstructured.NestedInt64(object.Object, "spec", "port", name)
	if err != nil || port < 1 || port > 65535 {
		return 0
	}
	return int32(port)
}

// StandardHTTP11 reports whether an XBackend is spoken to in HTTP/1.1 alone.
func StandardHTTP11(object *unstructured.Unstructured) bool {
	written, _, _ := unstructured.NestedString(object.Object, "spec", "protocol")
	return written == string(v1alpha1.BackendProtocolHTTP11) || written == "WSS"
}

func newer(object *unstructured.Unstructured) bool {
	_, found, _ := unstructured.NestedFieldNoCopy(object.Object, "spec", "port", "number")
	return found
}

func read(object *unstructured.Unstructured, newer bool, problems *attach.Problems) *v1alpha1.Backend {
	b := &v1alpha1.Backend{ObjectMeta: metav1.ObjectMeta{Namespace: object.GetNamespace(), Name: object.GetName(), Generation: object.GetGeneration()}}
	refuse := func(field, message, mend string) {
		problems.Add(attach.Accepted, string(gwapiv1.PolicyReasonInvalid), field, message, mend)
	}
	kind, _, _ := unstructured.NestedString(object.Object, "spec", "type")
	b.Spec.Type = v1alpha1.BackendTypeExternalHostname
	if kind != string(v1alpha1.BackendTypeExternalHostname) {
		refuse("spec.type", fmt.Sprintf("type %s is not supported", kind), "write ExternalHostname, or name a Service as backendRef")
	}
	b.Spec.ExternalHostname = &v1alpha1.ExternalHostnameBackend{Hostname: StandardHostname(object)}
	if b.Spec.Port.Number = StandardPort(object); b.Spec.Port.Number == 0 {
		field := "spec.port.port"
		if newer {
			field = "spec.port.number"
		}
		refuse(field, "there is no port to dial", "write one of 1 to 65535")
	}
	if written, found, _ := unstructured.NestedMap(object.Object, "spec", "tls"); found {
		b.Spec.TLS = &v1alpha1.BackendTLS{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(written, b.Spec.TLS); err != nil {
			refuse("spec.tls", "it cannot be read", "write mode and validation as XBackend has them")
		}
	}
	protocol(object, b, refuse)
	return b
}

// protocol reads what is spoken. None is HTTP, and so is the Model Context Protocol, which runs over it; WebSocket is
// opened in HTTP/1.1. H2C says itself that there is no TLS, which v1.7 then does not let be written.
func protocol(object *unstructured.Unstructured, b *v1alpha1.Backend, refuse func(field, message, mend string)) {
	written, _, _ := unstructured.NestedString(object.Object, "spec", "protocol")
	switch written {
	case "", "MCP":
		b.Spec.Protocol = v1alpha1.BackendProtocolHTTP
	case "WSS":
		b.Spec.Protocol = v1alpha1.BackendProtocolHTTP11
		if b.Spec.TLS != nil && b.Spec.TLS.Mode == v1alpha1.BackendTLSModeNone {
			refuse("spec.protocol", "protocol WSS needs TLS", "leave out tls.mode None, or write HTTP")
		}
	default:
		b.Spec.Protocol = v1alpha1.BackendProtocol(written)
		if b.Spec.Protocol == v1alpha1.BackendProtocolH2C && b.Spec.TLS == nil {
			b.Spec.TLS = &v1alpha1.BackendTLS{Mode: v1alpha1.BackendTLSModeNone}
		}
	}
}

// maxStandard is how many entries an XBackend's status has room for.
const maxStandard = 32

// Written is the status that an XBackend carries.
func Written(object *unstructured.Unstructured) *attach.Status {
	s := &attach.Status{}
	into(object, "parents", &s.Parents)
	into(object, "ancestors", &s.Ancestors)
	return s
}

// into reads a list of a status; one that cannot be read is none of ours.
func into(object *unstructured.Unstructured, name string, list any) {
	written, found, _ := unstructured.NestedSlice(object.Object, "status", name)
	if !found {
		return
	}
	if text, err := json.Marshal(written); err == nil {
		_ = json.Unmarshal(text, list)
	}
}

// status is the XBackend's with our entries, after those of other controllers and as far as there is room.
func (s *Standard) status(name string, ours []gwapiv1.PolicyAncestorStatus) *attach.Status {
	before, status := Written(s.object), &attach.Status{Object: name}
	for _, entry := range before.Parents {
		if entry.ControllerName != attach.Controller {
			status.Parents = append(status.Parents, entry)
		}
	}
	for _, entry := range before.Ancestors {
		if entry.ControllerName != attach.Controller {
			status.Ancestors = append(status.Ancestors, entry)
		}
	}
	room := maxStandard - len(status.Parents) - len(status.Ancestors)
	for _, entry := range ours[:max(0, min(room, len(ours)))] {
		if s.newer {
			status.Ancestors = append(status.Ancestors, entry)
			continue
		}
		status.Parents = append(status.Parents, gwapiv1.RouteParentStatus{
			ParentRef: entry.AncestorRef, ControllerName: entry.ControllerName, Conditions: entry.Conditions,
		})
	}
	return status
}

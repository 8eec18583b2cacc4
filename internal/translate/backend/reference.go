package backend

import (
	"fmt"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Named is what a reference names.
type Named struct {
	Name   string        // plan name
	Spoken plan.Protocol // HTTP11 where nothing else is spoken there
}

// Resolve is what a reference to a Backend, an XBackend or a port of a Service names, or what is wrong with it. Another
// namespace than that of the object that refers needs a ReferenceGrant.
func Resolve(r *derive.Reader, in *attach.Inputs, from attach.Party, ref *gwapiv1.BackendObjectReference) (Named, *attach.Wrong) {
	to := attach.Party{
		Group: attach.Or(ref.Group, ""), Kind: attach.Or(ref.Kind, "Service"),
		Namespace: attach.Or(ref.Namespace, from.Namespace), Name: string(ref.Name),
	}
	service := to.Group == "" && to.Kind == "Service"
	if to.Group == attach.StandardGroup && to.Kind == "XBackend" {
		return standard(r, in, from, to, ref.Port)
	}
	if !service && (to.Group != attach.Group || to.Kind != "Backend") {
		mend := "name a Service, or a Backend with group " + attach.Group
		if to.Kind == "XBackend" {
			mend = "write group: " + attach.StandardGroup + ", which is XBackend's"
		}
		return Named{}, &attach.Wrong{Reason: string(gwapiv1.RouteReasonInvalidKind), Message: fmt.Sprintf("%s of group %q is no backend", to.Kind, to.Group), Mend: mend}
	}
	if !in.Permitted(r, from, to) {
		message, mend := attach.NotPermitted(from, to)
		return Named{}, &attach.Wrong{Reason: string(gwapiv1.RouteReasonRefNotPermitted), Message: message, Mend: mend}
	}
	if service {
		return servicePort(r, in, plan.ObjectName("Service", to.Namespace, to.Name), ref.Port)
	}
	key := plan.ObjectName("Backend", to.Namespace, to.Name)
	object, ok := derive.Get(r, in.Backends.Collection, key)
	if !ok {
		return Named{}, notFound(key)
	}
	return own(key, ref.Port, object.Spec.Port.Number, object.Spec.Protocol == v1alpha1.BackendProtocolHTTP11)
}

func servicePort(r *derive.Reader, in *attach.Inputs, key string, port *gwapiv1.PortNumber) (Named, *attach.Wrong) {
	service, ok := derive.Get(r, in.Services.Collection, key)
	switch {
	case !ok:
		return Named{}, notFound(key)
	case port == nil:
		return Named{}, &attach.Wrong{Reason: string(gwapiv1.RouteReasonBackendNotFound), Message: attach.Words(key) + " is named without a port", Mend: "write the Service's port"}
	}
	used, wrong := Port(key, service, *port)
	if wrong == nil {
		wrong = Secured(r, in, key, service, used)
	}
	if wrong != nil {
		return Named{}, wrong
	}
	return Named{PortName(key, *port), Spoken(used)}, nil
}

// standard is an XBackend. The standard has no use of it across namespaces, whatever a ReferenceGrant says.
func standard(r *derive.Reader, in *attach.Inputs, from, to attach.Party, port *gwapiv1.PortNumber) (Named, *attach.Wrong) {
	key := plan.ObjectName("XBackend", to.Namespace, to.Name)
	if to.Namespace != from.Namespace {
		return Named{}, &attach.Wrong{Reason: string(gwapiv1.RouteReasonRefNotPermitted), Message: attach.Words(key) + " is in another namespace",
			Mend: "write the XBackend in namespace " + from.Namespace + ", or a Backend, which a ReferenceGrant can admit"}
	}
	object, ok := derive.Get(r, in.XBackends.Collection, key)
	if !ok {
		return Named{}, notFound(key)
	}
	return own(key, port, StandardPort(object), StandardHTTP11(object))
}

// own is a destination that has one port.
func own(key string, port *gwapiv1.PortNumber, number int32, old bool) (Named, *attach.Wrong) {
	switch {
	case port != nil && *port != number:
		return Named{}, &attach.Wrong{Reason: string(gwapiv1.RouteReasonBackendNotFound),
			Message: fmt.Sprintf("port %d is not the port of %s, which is %d", *port, attach.Words(key), number), Mend: "leave the port out"}
	case old:
		return Named{key, plan.HTTP11}, nil
	}
	return Named{key, plan.HTTP}, nil
}

func notFound(key string) *attach.Wrong {
	return &attach.Wrong{Reason: string(gwapiv1.RouteReasonBackendNotFound), Message: attach.Words(key) + " does not exist",
		Mend: "create it, or name one that exists; one of another namespace needs its namespace"}
}

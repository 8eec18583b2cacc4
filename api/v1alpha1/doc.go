// Package v1alpha1 is what a user of Ebbgate writes beside the standard Gateway API kinds: group ebbgate.dev, version
// v1alpha1. It holds the types, their markers, accessors and registration, and no behaviour; the CRDs in deploy/crds
// and the deep copies are generated from it. source, translate and the policy kinds read it; the proxy never does.
//
// The comment of a policy's field says whether it is a Setting (the most specific scope wins, field by field) or a
// Restriction (scopes combine and the stricter holds, whatever a more specific scope says). A field that may be set at
// several scopes has no default in the schema, since merging has to see its absence; its comment names the default.
//
// +kubebuilder:object:generate=true
// +groupName=ebbgate.dev
package v1alpha1

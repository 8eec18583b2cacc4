package v1alpha1

import gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

// The methods below are what the machinery of policies asks of every policy kind.

// TargetReferences are the policy's spec.targetRefs.
func (p *EgressPolicy) TargetReferences() []gwapiv1.LocalPolicyTargetReferenceWithSectionName {
	return p.Spec.TargetRefs
}

// PolicyStatus is where the policy's conditions stand.
func (p *EgressPolicy) PolicyStatus() *gwapiv1.PolicyStatus { return &p.Status }

// TargetReferences are the policy's spec.targetRefs.
func (p *CredentialInjector) TargetReferences() []gwapiv1.LocalPolicyTargetReferenceWithSectionName {
	return p.Spec.TargetRefs
}

// PolicyStatus is where the policy's conditions stand.
func (p *CredentialInjector) PolicyStatus() *gwapiv1.PolicyStatus { return &p.Status }

// TargetReferences are the policy's spec.targetRefs.
func (p *DNSPolicy) TargetReferences() []gwapiv1.LocalPolicyTargetReferenceWithSectionName {
	return p.Spec.TargetRefs
}

// PolicyStatus is where the policy's conditions stand.
func (p *DNSPolicy) PolicyStatus() *gwapiv1.PolicyStatus { return &p.Status }

// TargetReferences are the policy's spec.targetRefs.
func (p *GuardRailsPolicy) TargetReferences() []gwapiv1.LocalPolicyTargetReferenceWithSectionName {
	return p.Spec.TargetRefs
}

// PolicyStatus is where the policy's conditions stand.
func (p *GuardRailsPolicy) PolicyStatus() *gwapiv1.PolicyStatus { return &p.Status }

// TargetReferences are the policy's spec.targetRefs.
func (p *RegionAllowListPolicy) TargetReferences() []gwapiv1.LocalPolicyTargetReferenceWithSectionName {
	return p.Spec.TargetRefs
}

// PolicyStatus is where the policy's conditions stand.
func (p *RegionAllowListPolicy) PolicyStatus() *gwapiv1.PolicyStatus { return &p.Status }

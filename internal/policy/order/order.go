// Package order is the table of policy kinds. Within a step of the data path the lines' order is the order of work. The
// package does nothing itself: cmd hands the table to translate and to proxy, which are generic over it.
package order

import (
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/backendtls"
	"github.com/ebbgate/ebbgate/internal/policy/backendtraffic"
	"github.com/ebbgate/ebbgate/internal/policy/credential"
	"github.com/ebbgate/ebbgate/internal/policy/dns"
	"github.com/ebbgate/ebbgate/internal/policy/egress"
	"github.com/ebbgate/ebbgate/internal/policy/guardrails"
	"github.com/ebbgate/ebbgate/internal/policy/regions"
)

// Kinds are all kinds of policy, in order: what may never leave is judged first, and credentials are written last.
func Kinds() []*policy.Kind {
	return []*policy.Kind{
		guardrails.Kind(),
		egress.Kind(),
		regions.Kind(),
		dns.Kind(),
		backendtls.Kind(),
		backendtraffic.Kind(),
		credential.Kind(),
	}
}

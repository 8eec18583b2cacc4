// Package spec_test shows, row by row, that the gateway does what the types of Gateway API v1.6.3 promise of HTTPRoute and
// GRPCRoute, of the listeners that serve them and of the policies that secure their backends. A row is named by the field
// whose comment it shows ("HTTPRouteMatch.headers: several, AND"), so that one may read the types beside it; a field
// without a row fails TestEveryFieldHasARow. YAML goes in as a user would write it, a standalone gateway serves it on
// loopback, real clients ask over HTTP/1.1 and over HTTP/2 with and without TLS, and both ends are compared: what the
// far side received and what the client got. What one part could get wrong alone is tested beside that part; statuses
// are golden cases of internal/translate.
package spec_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRows runs every topic on one gateway, which takes a new configuration for each row.
func TestRows(t *testing.T) {
	w := newWorld(t)
	for _, topic := range []struct {
		name string
		rows func(*testing.T, *world)
	}{
		{"hostnames", hostnames},
		{"listeners", listeners},
		{"parents", parents},
		{"matches", matches},
		{"precedence", precedence},
		{"headers", headerModifiers},
		{"redirects", redirects},
		{"rewrites", rewrites},
		{"mirrors", mirrors},
		{"cors", crossOrigins},
		{"backends", backends},
		{"protocols", protocols},
		{"timeouts", timeouts},
		{"retries", retries},
		{"sessions", sessions},
		{"names", names},
		{"calls", calls},
		{"call-filters", callFilters},
		{"real-calls", realCalls},
		{"call-hosts", callHosts},
		{"certificates", certificates},
		{"misdirected", misdirected},
		{"client-certificates", clientCertificates},
		{"backend-tls", backendTLS},
	} {
		t.Run(topic.name, func(t *testing.T) { topic.rows(t, w) })
	}
}

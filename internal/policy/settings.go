package policy

import (
	"net/netip"
	"time"
)

// Settings are the engine's knobs for one (rule, backend). The zero value is no default: NewSettings is.
type Settings struct {
	Timeouts     Timeouts
	DNS          DNS
	Region       string // where the destination processes data; empty where unknown
	Credential   string // the CredentialInjector that writes a credential; empty for none
	ClientsNamed bool   // a policy names the clients that may use the backend
	Guarded      bool   // a GuardRailsPolicy is in the chain
}

// Timeouts bound the parts of an exchange; zero is none.
type Timeouts struct {
	Connect    time.Duration // DNS, TCP and TLS together
	FirstByte  time.Duration // from the request's last byte written to the answer's head
	StreamIdle time.Duration // silence within the answer's body
	Request    time.Duration // the whole exchange, retries included
}

// DNS says how a backend's name becomes addresses.
type DNS struct {
	Resolvers  []Resolver // asked in order; empty: the system's
	Hosts      map[string][]netip.Addr
	Family     Family
	MinTTL     time.Duration
	MaxTTL     time.Duration
	Negative   time.Duration
	ServeStale time.Duration
}

// Resolver is a DNS server.
type Resolver struct {
	Address netip.AddrPort
	TCP     bool
}

// Family restricts the address families used.
type Family uint8

// The families.
const (
	FamilyAuto Family = iota // both, RFC 8305
	FamilyIPv4
	FamilyIPv6
)

// NewSettings are the defaults where no policy says otherwise (API: EgressPolicy.timeouts, DNSPolicy.ttl).
func NewSettings() Settings {
	return Settings{
		Timeouts: Timeouts{Connect: 5 * time.Second, FirstByte: 600 * time.Second, StreamIdle: 300 * time.Second},
		DNS:      DNS{MinTTL: 5 * time.Second, MaxTTL: 5 * time.Minute, Negative: 5 * time.Second, ServeStale: 10 * time.Minute},
	}
}

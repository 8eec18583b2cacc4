package policy

import (
	"net/netip"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// Settings are the engine's knobs for one (rule, backend). The zero value is no default: NewSettings is.
type Settings struct {
	Timeouts     Timeouts
	DNS          DNS
	Retry        Retry
	TLS          *plan.TLS     // how a backend is verified whose own setting says nothing: a BackendTLSPolicy's; nil: plain
	Session      *plan.Session // a destination's; a rule's own wins
	Region       string        // where the destination processes data; empty where unknown
	Credential   string        // the CredentialInjector that writes a credential; empty for none
	ClientsNamed bool          // a policy names the clients that may use the backend
	Guarded      bool          // a GuardRailsPolicy is in the chain
}

// Timeouts bound the parts of an exchange; zero is none.
type Timeouts struct {
	Connect    time.Duration // DNS, TCP and TLS together
	FirstByte  time.Duration // from the request's last byte written to the answer's head
	StreamIdle time.Duration // silence within the answer's body
	Request    time.Duration // the whole exchange, retries included
}

// Class is what a failed attempt proves, from the most to the least.
type Class uint8

// The classes of API: EgressPolicy.retry.on.
const (
	Unsent       Class = 1 << iota // the request provably did not reach the destination
	Rejected                       // the destination said, before any output, that it did not do the work
	Reset                          // the connection or the stream ended without an answer
	TimedOut                       // no answer in time
	GatewayError                   // any other 5xx
)

func (c Class) String() string {
	switch c {
	case Unsent:
		return "Unsent"
	case Rejected:
		return "Rejected"
	case Reset:
		return "Reset"
	case TimedOut:
		return "Timeout"
	case GatewayError:
		return "GatewayError"
	}
	return ""
}

// Retry says when a request is sent again (API: EgressPolicy.retry, GEP-1731, GEP-3388).
type Retry struct {
	Attempts     int // beyond the first
	On           Class
	Statuses     []int // that mean: the work was not done
	Duplicates   bool  // work that was perhaps done may be asked of somebody again
	KeysHonoured bool  // the destination deduplicates by Idempotency-Key
	Backoff      time.Duration
	Budget       Budget
}

// Budget bounds retries to a share of the requests of an interval, with a floor that is always allowed.
type Budget struct {
	Percent       int // 0: no retries but the floor's
	Interval      time.Duration
	Floor         int // retries allowed whatever the share, per FloorInterval
	FloorInterval time.Duration
	Written       bool // by a policy: what it refuses to repeat is answered 503
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
		Retry: Retry{
			Attempts: 2, On: Unsent | Rejected, Statuses: []int{429, 529}, Backoff: 100 * time.Millisecond,
			Budget: Budget{Percent: 20, Interval: 10 * time.Second, Floor: 10, FloorInterval: time.Second},
		},
		DNS: DNS{MinTTL: 5 * time.Second, MaxTTL: 5 * time.Minute, Negative: 5 * time.Second, ServeStale: 10 * time.Minute},
	}
}

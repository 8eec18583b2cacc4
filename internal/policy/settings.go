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
	Regions      [][]string    // patterns of regions that data may go to: a destination's must match one of each list, "" standing for one that nothing states
	Priority     int           // a destination's tier in its rule: the lowest comes first
	Tiers        [][]string    // a rule's own, by plan names of backends: it replaces Priority; those in none are the last
	Connections  Connections
	Health       Health
	Parent       *Parent // nil: the destination itself is reached
	Credential   string  // the CredentialInjector that writes a credential; empty for none
	ClientsNamed bool    // a policy names the clients that may use the backend
	Guarded      bool    // a GuardRailsPolicy is in the chain
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

// The classes of API: EgressPolicy.retry.classes.
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

// Connections bound those of one Gateway to one destination.
type Connections struct {
	Max     int           // open at once; 0: unbounded
	Pending int           // exchanges that wait for one
	Wait    time.Duration // for how long at most; then the attempt has failed unsent
	Idle    time.Duration // before an idle one is closed
}

// Fault is a way for a destination to fail that may count against its health.
type Fault uint8

// The faults of API: EgressPolicy.health.passive.errors.
const (
	FaultConnect      Fault = 1 << iota // DNS or TCP
	FaultTLS                            // handshake or verification
	FaultReset                          // the connection or the stream ended without an answer, or within it
	FaultTimeout                        // firstByte, backendRequest or streamIdle was over
	FaultGatewayError                   // a 5xx that is no Rejected
)

// Health says when a destination, or an address of one, is left alone for a time.
type Health struct {
	Passive   Passive
	Active    *Active       // nil: none
	SlowStart time.Duration // over which one that comes back gets its share again; 0: at once
}

// Passive health learns from the requests themselves.
type Passive struct {
	On                Fault
	ConsecutiveErrors int // that eject; 0: none do
	ErrorPercent      int // of an Interval with at least ErrorRequests requests that ejects; 0: none does
	ErrorRequests     int
	Interval          time.Duration
	Ejection          time.Duration // the first; each further one takes that much longer
	MaxEjection       time.Duration
	MaxEjectedPercent int // of the addresses of one backend
}

// ActiveType is what an active check speaks.
type ActiveType string

// The active checks.
const (
	ActiveHTTP ActiveType = "HTTP"
	ActiveGRPC ActiveType = "GRPC" // grpc.health.v1
	ActiveTCP  ActiveType = "TCP"  // a connection, and TLS where the backend has it
)

// Active health asks each address in turn, with no credential.
type Active struct {
	Type           ActiveType
	Path           string // HTTP
	Service        string // GRPC: of which the health is asked; empty: the server's
	Statuses       []int  // HTTP: healthy ones; empty: 200 to 299
	Interval       time.Duration
	Timeout        time.Duration
	HealthyAfter   int // checks in a row
	UnhealthyAfter int
}

// Form is how a parent is asked (API: EgressPolicy, Parent mode).
type Form string

// The forms.
const (
	FormOrigin   Form = "Origin"   // as the client asked: the parent matches and rewrites
	FormAbsolute Form = "Absolute" // for the destination's whole URL (RFC 9112, section 3.2.2)
	FormConnect  Form = "Connect"  // for a tunnel to the destination (RFC 9110, section 9.3.6)
)

// Parent is another gateway that the destination is reached through.
type Parent struct {
	Backend string // plan name; empty: the destination is that gateway itself
	Form    Form
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

// NewSettings are the defaults where no policy says otherwise (API: EgressPolicy, DNSPolicy.ttl).
func NewSettings() Settings {
	return Settings{
		Timeouts: Timeouts{Connect: 5 * time.Second, FirstByte: 600 * time.Second, StreamIdle: 300 * time.Second},
		Retry: Retry{
			Attempts: 2, On: Unsent | Rejected, Statuses: []int{429, 529}, Backoff: 100 * time.Millisecond,
			Budget: Budget{Percent: 20, Interval: 10 * time.Second, Floor: 10, FloorInterval: time.Second},
		},
		Connections: Connections{Max: 512, Pending: 1024, Wait: 5 * time.Second, Idle: 90 * time.Second},
		Health: Health{
			Passive: Passive{
				On: FaultConnect | FaultTLS | FaultReset, ConsecutiveErrors: 5, ErrorRequests: 20, Interval: 10 * time.Second,
				Ejection: 30 * time.Second, MaxEjection: 5 * time.Minute, MaxEjectedPercent: 100,
			},
			SlowStart: 30 * time.Second,
		},
		DNS: DNS{MinTTL: 5 * time.Second, MaxTTL: 5 * time.Minute, Negative: 5 * time.Second, ServeStale: 10 * time.Minute},
	}
}

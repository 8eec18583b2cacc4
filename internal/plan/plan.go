// Package plan is the one contract between the halves: what translate makes of the users' objects and what proxy builds
// into the table it serves. Plain data, one resource per object that a user wrote; resources refer to each other by name
// and never hold each other's content. It knows no policy kind: a Policy is {kind, targets, config}, and the config's
// type belongs to its kind's package.
//
// Names: "Kind/namespace/name" for objects; "namespace/name" for Gateways; a Service backend has its port behind a
// colon; a rule its index behind a hash: "HTTPRoute/ai/chat#0".
//
// A resource is immutable once published: an unchanged resource keeps its pointer from plan to plan, so that whoever
// builds from it may compare pointers.
package plan

import "time"

// Plan is one whole generation.
type Plan struct {
	Gateways []*Gateway `json:"gateways"`
	Rules    []*Rule    `json:"rules"`
	Backends []*Backend `json:"backends"`
	Policies []*Policy  `json:"policies"`
	Secrets  []*Secret  `json:"secrets"`
}

// Fault is why a resource cannot be served as written. What refers to it answers 500 with the message.
type Fault struct {
	Reason  string `json:"reason"`  // a condition's reason: RefNotPermitted, BackendNotFound, InvalidKind …
	Message string `json:"message"` // for the user; names the object and the field
}

// Gateway is one Gateway with its listeners.
type Gateway struct {
	Name              string         `json:"name"`  // namespace/name
	Class             string         `json:"class"` // GatewayClass name
	Addresses         []string       `json:"addresses,omitempty"`
	Listeners         []*Listener    `json:"listeners"`
	Identity          []StaticSource `json:"identity,omitempty"` // in order; the most specific prefix names the client
	SPIFFE            []SPIFFESource `json:"spiffe,omitempty"`
	Cluster           string         `json:"cluster,omitempty"`    // name of the cluster that the Gateway is in
	PodAddress        bool           `json:"podAddress,omitempty"` // the Pods of the cluster name clients by their addresses
	Token             *TokenSource   `json:"token,omitempty"`
	Peers             []Peer         `json:"trustedPeers,omitempty"`
	HopName           string         `json:"hopName,omitempty"`           // what Via calls this gateway
	ClientCertificate string         `json:"clientCertificate,omitempty"` // name of the Secret that backends are shown which ask for the Gateway's
	ClientFault       *Fault         `json:"clientFault,omitempty"`       // there should be such a certificate: backends that ask for it answer 500
	Local             bool           `json:"local,omitempty"`             // built-in: requests that a web page could have made are refused
}

// StaticSource names the clients of an address range.
type StaticSource struct {
	CIDR           string `json:"cidr"`
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
}

// SPIFFESource names clients by the SPIFFE id of a certificate that verifies under the trust domain's bundle.
type SPIFFESource struct {
	TrustDomain string `json:"trustDomain"`
	Bundle      string `json:"bundle"` // name of a ConfigMap or Secret with ca.crt
}

// TokenSource names clients by the ServiceAccount token that they send.
type TokenSource struct {
	Header   string `json:"header"`   // the field that brings it, as "Bearer" and the token; it is removed
	Audience string `json:"audience"` // that it must be meant for
	Issuer   Issuer `json:"issuer"`
}

// Issuer is who signs a cluster's ServiceAccount tokens. Without Keys, which are no secret, no token verifies.
type Issuer struct {
	URL  string `json:"url,omitempty"`
	Keys string `json:"keys,omitempty"` // a JWK set (RFC 7517), in JSON
}

// Peer is a child gateway or a proxy whose word about its clients is believed.
type Peer struct {
	SPIFFE     string   `json:"spiffe"`               // its id; a SPIFFESource must verify it
	Cluster    string   `json:"cluster,omitempty"`    // of the clients that it speaks for
	Namespaces []string `json:"namespaces,omitempty"` // for whose clients it may speak; "*" for all
}

// Protocol is how a listener or a backend is spoken to.
type Protocol string

// The protocols of this version.
const (
	HTTP   Protocol = "HTTP"   // listener: plain; backend: the client's version where the far side offers it over TLS, HTTP/1.1 without TLS
	HTTPS  Protocol = "HTTPS"  // listener: TLS terminated
	HTTP11 Protocol = "HTTP11" // backend: HTTP/1.1 whatever the client spoke
	HTTP2  Protocol = "HTTP2"  // backend: HTTP/2 whatever the client spoke: by ALPN over TLS, by prior knowledge without
)

// Listener is one programmed listener. One that cannot be programmed is not in the plan.
type Listener struct {
	Name         string   `json:"name"`
	Port         int      `json:"port"`
	Protocol     Protocol `json:"protocol"`
	Hostname     string   `json:"hostname,omitempty"`     // exact, "*.suffix" or empty
	Certificates []string `json:"certificates,omitempty"` // names of Secrets with tls.crt and tls.key

	Clients *ClientValidation `json:"clients,omitempty"` // client certificates; nil: none is asked for
}

// ClientValidation is whose certificates clients must present (GEP-91).
type ClientValidation struct {
	Roots    []string `json:"roots"`              // names of Secrets or ConfigMaps with ca.crt
	Insecure bool     `json:"insecure,omitempty"` // AllowInsecureFallback: one that does not verify, or none, is let in without a name
}

// Rule is one rule of a route.
type Rule struct {
	Name      string        `json:"name"`               // HTTPRoute/namespace/name#index, or GRPCRoute/…
	Route     string        `json:"route"`              // HTTPRoute/namespace/name
	RuleName  string        `json:"ruleName,omitempty"` // the rule's own name
	Index     int           `json:"index"`
	Created   time.Time     `json:"created,omitzero"` // the route's creation: older wins a tie
	Parents   []Parent      `json:"parents"`
	Hostnames []string      `json:"hostnames,omitempty"` // the route's; empty: the listener's
	Matches   []Match       `json:"matches"`             // never empty; OR
	Filters   []Filter      `json:"filters,omitempty"`
	Backends  []RuleBackend `json:"backends,omitempty"`
	Timeouts  Timeouts      `json:"timeouts,omitzero"`
	Retry     *Retry        `json:"retry,omitempty"`
	Session   *Session      `json:"session,omitempty"`
	Fault     *Fault        `json:"fault,omitempty"` // the whole rule answers 500
}

// Namespace is the route's.
func (r *Rule) Namespace() string { return namespaceOf(r.Route) }

// Parent is a listener that the rule is attached to.
type Parent struct {
	Gateway  string `json:"gateway"`
	Listener string `json:"listener"`
}

// MatchType is how a value is compared.
type MatchType string

// The match types of Gateway API.
const (
	Exact             MatchType = "Exact"
	PathPrefix        MatchType = "PathPrefix"
	RegularExpression MatchType = "RegularExpression"
)

// Match is one set of conditions; all must hold.
type Match struct {
	Path    ValueMatch   `json:"path"`
	Method  string       `json:"method,omitempty"`
	Headers []ValueMatch `json:"headers,omitempty"`
	Query   []ValueMatch `json:"query,omitempty"`

	// Rank orders matches whose path is a regular expression: the higher is asked first, before all prefixes, and
	// below zero after all prefixes but "/".
	Rank int `json:"rank,omitempty"`
}

// ValueMatch compares a named value (the path has no name).
type ValueMatch struct {
	Name  string    `json:"name,omitempty"`
	Type  MatchType `json:"type"`
	Value string    `json:"value"`
}

// Filter changes a request or an answer; one member is set.
type Filter struct {
	RequestHeaders  *HeaderModifier `json:"requestHeaders,omitempty"`
	ResponseHeaders *HeaderModifier `json:"responseHeaders,omitempty"`
	Redirect        *Redirect       `json:"redirect,omitempty"`
	Rewrite         *Rewrite        `json:"rewrite,omitempty"`
	Mirror          *Mirror         `json:"mirror,omitempty"`
	CORS            *CORS           `json:"cors,omitempty"`
}

// HeaderModifier sets, adds and removes fields, in this order.
type HeaderModifier struct {
	Set    []HeaderValue `json:"set,omitempty"`
	Add    []HeaderValue `json:"add,omitempty"`
	Remove []string      `json:"remove,omitempty"`
}

// HeaderValue is a field that configuration writes. It is no secret: credentials are a policy's business.
type HeaderValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// PathModifier replaces the path: the whole, or the matched prefix.
type PathModifier struct {
	Full   *string `json:"full,omitempty"`
	Prefix *string `json:"prefix,omitempty"`
}

// Redirect answers with a Location made of the request's parts and these.
type Redirect struct {
	Scheme   string        `json:"scheme,omitempty"`
	Hostname string        `json:"hostname,omitempty"`
	Port     int           `json:"port,omitempty"`
	Path     *PathModifier `json:"path,omitempty"`
	Status   int           `json:"status"`
}

// Rewrite changes what the backend is asked.
type Rewrite struct {
	Hostname string        `json:"hostname,omitempty"`
	Path     *PathModifier `json:"path,omitempty"`
}

// Mirror sends a share of the requests to another backend too, whose answers nobody sees.
type Mirror struct {
	Backend     string   `json:"backend"` // name; may be empty where Fault is set
	Protocol    Protocol `json:"protocol,omitempty"`
	Numerator   int      `json:"numerator"` // of the share; 1 of 1 is every request
	Denominator int      `json:"denominator"`
	Fault       *Fault   `json:"fault,omitempty"` // nothing is mirrored
}

// CORS answers preflights and marks answers as the Fetch standard's CORS protocol has it (GEP-1767).
type CORS struct {
	Origins     []string `json:"origins,omitempty"` // "*", or scheme://host[:port] in lower case, without its scheme's port; the host may be "*" or begin with "*."
	Credentials bool     `json:"credentials,omitempty"`
	Methods     []string `json:"methods,omitempty"` // "*" for all
	Headers     []string `json:"headers,omitempty"` // "*" for all
	Expose      []string `json:"expose,omitempty"`  // "*" for all
	MaxAge      int      `json:"maxAge,omitempty"`  // seconds; 0: unstated
}

// Retry is a route's own (GEP-1731).
type Retry struct {
	Codes    []int         `json:"codes,omitempty"`
	Attempts int           `json:"attempts,omitempty"` // beyond the first; zero is unset, negative is 0 written
	Backoff  time.Duration `json:"backoff,omitempty"`  // the same
}

// SessionType is what carries a session.
type SessionType string

// The session types of GEP-1619.
const (
	SessionCookie SessionType = "Cookie"
	SessionHeader SessionType = "Header"
)

// Session keeps a client's requests on the backend, and of a Service on the endpoint, that answered its first (GEP-1619).
type Session struct {
	Type      SessionType   `json:"type"`
	Name      string        `json:"name"`                // of the cookie or the field
	Permanent bool          `json:"permanent,omitempty"` // the cookie outlives the browser
	Absolute  time.Duration `json:"absolute,omitempty"`  // lifetime; 0: unlimited
	Idle      time.Duration `json:"idle,omitempty"`      // 0: unlimited
}

// RuleBackend is one weighted destination of a rule. An invalid one keeps its weight and answers 500.
type RuleBackend struct {
	Backend  string   `json:"backend"`            // name; may be empty where Fault is set
	Protocol Protocol `json:"protocol,omitempty"` // spoken here in place of the backend's own: HTTP/2 on a GRPCRoute
	Weight   int      `json:"weight"`
	Filters  []Filter `json:"filters,omitempty"`
	Fault    *Fault   `json:"fault,omitempty"`
}

// Timeouts are HTTPRoute's own; zero is unset, negative is "0s" written: none.
type Timeouts struct {
	Request        time.Duration `json:"request,omitempty"`
	BackendRequest time.Duration `json:"backendRequest,omitempty"`
}

// Origin is where a backend's addresses come from; it decides which address rules hold.
type Origin string

// The origins.
const (
	Resolved  Origin = "Resolved"  // Hostname is resolved by DNS
	Literal   Origin = "Literal"   // Addresses as the Backend wrote them
	Endpoints Origin = "Endpoints" // a Service's EndpointSlices
)

// Backend is one destination: a Backend, or one port of a Service.
type Backend struct {
	Name      string     `json:"name"` // Backend/namespace/name or Service/namespace/name:port
	Origin    Origin     `json:"origin"`
	Hostname  string     `json:"hostname,omitempty"` // Host, SNI and verified name; "*.suffix" takes it from the request's authority; empty for Services
	Addresses []Endpoint `json:"addresses,omitempty"`
	Port      int        `json:"port"`
	Protocol  Protocol   `json:"protocol"`
	TLS       *TLS       `json:"tls,omitempty"` // nil: plain
	Fault     *Fault     `json:"fault,omitempty"`
}

// Namespace is the backend object's.
func (b *Backend) Namespace() string { return namespaceOf(b.Name) }

// Endpoint is one address to dial.
type Endpoint struct {
	Address string `json:"address"`
	Port    int    `json:"port"`
	Pod     bool   `json:"pod,omitempty"` // the address is that of a known Pod of the Service's own namespace
}

// TLS is how a backend is verified and how we present ourselves.
type TLS struct {
	Hostname           string   `json:"hostname,omitempty"` // SNI and, without SANs, the verified name; empty: the authority of a wildcard
	SystemRoots        bool     `json:"systemRoots,omitempty"`
	Roots              []string `json:"roots,omitempty" plan:"secret"` // names of Secrets or ConfigMaps with ca.crt
	SANs               []SAN    `json:"sans,omitempty"`                // any one must be in the certificate
	ClientCertificate  string   `json:"clientCertificate,omitempty" plan:"secret"`
	GatewayCertificate bool     `json:"gatewayCertificate,omitempty"` // without one of its own, present the Gateway's, where it has one
	Mutual             bool     `json:"mutual,omitempty"`             // never connect without a certificate to present
	MinVersion         string   `json:"minVersion,omitempty"`         // "1.2" or "1.3"
}

// SAN is a name that the far side's certificate must carry.
type SAN struct {
	Type  string `json:"type"` // Hostname or URI
	Value string `json:"value"`
}

// TargetKind is what a policy is attached to, from the most general to the most specific.
type TargetKind string

// The kinds of targets.
const (
	TargetClass    TargetKind = "GatewayClass"
	TargetGateway  TargetKind = "Gateway"
	TargetListener TargetKind = "Listener"
	TargetBackend  TargetKind = "Backend" // a Backend, an XBackend or a Service, by plan name (a Service without its port)
	TargetPort     TargetKind = "Port"    // one port of a Service, by plan name
	TargetRoute    TargetKind = "Route"
	TargetRule     TargetKind = "Rule"
)

// Target is one attachment of a policy.
type Target struct {
	Kind       TargetKind `json:"kind"`
	Name       string     `json:"name"`                 // plan name; a listener's is "namespace/gateway#listener"
	Conflicted bool       `json:"conflicted,omitempty"` // an older policy holds the target: settings are void, restrictions hold
}

// Policy is one policy object. Its config's Go type is its kind's own; no secret's value is in it. The config's fields
// that hold a Secret's or a backend's plan name, and they alone, have the tag `plan:"secret"` or `plan:"backend"`: what is
// named there goes where the policy goes.
type Policy struct {
	Name    string    `json:"name"` // Kind/namespace/name
	Kind    string    `json:"kind"`
	Created time.Time `json:"created,omitzero"`
	Targets []Target  `json:"targets"`
	Report  bool      `json:"report,omitempty"` // mode: Report: restrictions are logged and let pass
	Config  any       `json:"config"`
	Fault   *Fault    `json:"fault,omitempty"` // unresolved: what it protects fails closed
}

// Secret is the content of a Secret or a ConfigMap that something in the plan names.
type Secret struct {
	Name string               `json:"name"` // Secret/namespace/name or ConfigMap/namespace/name
	Data map[string]Sensitive `json:"data"`
}

// Package exchange is a request and its response as the stages of the data path see them: method, authority, path,
// ordered fields, body, client, attempts and verdict, with no HTTP version behind its face. The HTTP/1.1 codec fills
// and writes it without copies; HTTP/2 converts at its edge.
//
// Strings of an Exchange may point into a connection's buffer. Nothing taken from one survives its End: what logs,
// mirrors or holds it copies (strings.Clone).
package exchange

import (
	"io"
	"net/netip"
	"time"
)

// Lengths of a body that are no number of bytes.
const (
	LengthUnknown int64 = -1 // a body whose end its framing tells: chunked, until close, or HTTP/2 without content-length
	LengthAbsent  int64 = -2 // no body, and no length stated
)

// Version is the HTTP version of a message.
type Version uint8

// The versions we speak.
const (
	HTTP11 Version = iota
	HTTP10
	HTTP2
)

func (v Version) String() string { return [...]string{"HTTP/1.1", "HTTP/1.0", "HTTP/2"}[v] }

// Request is what a client asks. Framing fields (Content-Length, Transfer-Encoding) are no part of Header: Length tells.
type Request struct {
	Version   Version
	Method    string
	Scheme    string // "http" or "https": of the absolute target if there was one, else of the listener
	Authority string // host[:port] as received; empty only in HTTP/1.0
	Path      string // escaped path, normalised once by accept; "*" for OPTIONS *; empty for CONNECT
	Query     string // with its leading "?", or empty
	Absolute  bool   // the target was in absolute form
	Upgrade   string // protocol that the client asks to switch to (Upgrade, or RFC 8441's :protocol); empty: none
	Trailers  bool   // the client takes trailers (TE: trailers)
	Header    Header
	Length    int64
	Body      io.Reader // nil when there is none; its end is io.EOF only where the framing says so
	Trailer   Header    // complete once Body has ended
	Limit     BodyLimit // of Body; the zero value: no policy has said one
}

// BodyLimit is how much a request's body may have.
type BodyLimit struct {
	Bytes  int64
	Policy string // Kind/namespace/name that says so; empty: it is so where none does
}

// Response is what came back, or our own answer. Framing fields are no part of Header: Length tells.
type Response struct {
	Version Version
	Status  int
	Phrase  string // reason phrase as received; may be empty
	Header  Header
	Length  int64     // as stated, also where there is no body (HEAD, 304)
	Body    io.Reader // nil when there is none
	Trailer Header    // complete once Body has ended
}

// Source is what named a client, from the weakest to the strongest.
type Source uint8

// The sources of identity (API: GatewayParameters.identity).
const (
	SourceNone Source = iota
	SourceLoopback
	SourceStatic
	SourcePeer // a trusted gateway's word
	SourcePodAddress
	SourceSPIFFE
	SourceToken
)

func (s Source) String() string {
	return [...]string{"None", "Loopback", "Static", "Peer", "PodAddress", "SPIFFE", "ServiceAccountToken"}[s]
}

// Unknown is the namespace and service account of a client that nothing named.
const Unknown = "unknown"

// Client is who asks.
type Client struct {
	Address        netip.AddrPort // peer of the connection
	Cluster        string         // empty: the gateway's own, which was given no name
	Foreign        bool           // of another cluster than the gateway's
	Namespace      string
	ServiceAccount string
	SPIFFE         string
	Pod            string // its name, where it is known
	Workload       string // what made the Pod: Deployment/web
	Source         Source
	Certified      bool // its own certificate proves the name
}

// Known reports whether the client has a name. Whatever asks for a name refuses one that has not.
func (c *Client) Known() bool { return c.Source != SourceNone }

func (c Client) String() string {
	name := c.Namespace + "/" + c.ServiceAccount
	if c.Cluster != "" {
		name = c.Cluster + "/" + name
	}
	return name
}

// Hop is what a trusted gateway said of the way up to here (Ebbgate-Hop). The zero value: nobody said anything.
type Hop struct {
	Name    string     // the gateway that said so
	Depth   int        // gateways passed, it included
	Attempt int        // which of its attempts this is, from 1
	Retries int        // how many more it may make
	Regions [][]string // patterns of regions that data may go to: a destination's must match one of each list
}

// Veto is a backend that policy took out of a draw.
type Veto struct {
	Backend string // plan name
	Region  string // where it processes data; empty where unknown
	Reason  Reason
	Policy  string
	Field   string
}

// Attempt is one try at one backend: what the access log says of it.
type Attempt struct {
	Backend    string         // plan name
	Parent     string         // plan name of the gateway it was reached through; empty: none
	Address    netip.AddrPort // address dialled; invalid where none was reached
	Reused     bool           // on a pooled connection
	Status     int            // of the answer; 0 where there was none
	Version    Version        // of the answer; it means nothing where Status is 0
	Class      string         // what it proves, where it failed or its answer may be asked for again: Unsent, Rejected …
	Reason     Reason         // why it failed; empty where it did not
	Detail     string         // the failure in words, for the log alone: it may name internal addresses
	Written    int64          // request bytes handed to the connection: under TLS; in HTTP/2 those of its stream
	Duration   time.Duration  // from pick to answer head or failure
	Duplicate  bool           // an earlier attempt may have done the work: policy accepts that it is done twice
	Credential string         // name of the CredentialInjector that wrote a credential; never its value
	Header     Header         // this attempt's view of the request's fields
	Authority  string         // Host sent
	Path       string         // path sent, with the query
	Scheme     string         // of the URL that a parent is asked for; empty: it is asked for the path alone
}

// Target is what the request line asks for: the path, or the whole URL (RFC 9112, sections 3.2.1, 3.2.2 and 3.2.4).
func (a *Attempt) Target() string {
	switch {
	case a.Scheme == "":
		return a.Path
	case a.Path == "*":
		return a.Scheme + "://" + a.Authority
	}
	return a.Scheme + "://" + a.Authority + a.Path
}

// Exchange is one request with everything that became of it.
type Exchange struct {
	ID       string // request id
	Start    time.Time
	Client   Client
	Request  Request
	Response Response

	Gateway  string // namespace/name
	Listener string
	Route    string // HTTPRoute/namespace/name
	Rule     string // rule's name, else its index
	Backend  string // kind/namespace/name of the last attempt's

	Hop      Hop
	Attempts []Attempt
	Vetoed   []Veto
	Mirrored bool      // a copy for a RequestMirror filter: its client sees nothing of it
	Refusal  *Refusal  // nil unless we answered ourselves
	Reported []Refusal // what policies in mode Report would have refused

	BytesIn   int64         // request body bytes read from the client
	BytesOut  int64         // response body bytes written to the client
	FirstByte time.Duration // from Start to the response head's last byte written
	Duration  time.Duration // from Start to End
	Aborted   string        // why the answer was cut after it had begun, or the client left; empty where it was whole
}

// NextAttempt appends an empty attempt and returns it; it is valid until the next one is begun. Memory of earlier
// exchanges is used again.
func (x *Exchange) NextAttempt() *Attempt {
	if n := len(x.Attempts); n < cap(x.Attempts) {
		x.Attempts = x.Attempts[:n+1]
		header := x.Attempts[n].Header
		header.Reset()
		x.Attempts[n] = Attempt{Header: header}
	} else {
		x.Attempts = append(x.Attempts, Attempt{})
	}
	return &x.Attempts[len(x.Attempts)-1]
}

// Reset empties the exchange for the next request of its connection and keeps its memory.
func (x *Exchange) Reset() {
	request, response, requestTrailer, responseTrailer := x.Request.Header, x.Response.Header, x.Request.Trailer, x.Response.Trailer
	for _, h := range [...]*Header{&request, &response, &requestTrailer, &responseTrailer} {
		h.Reset()
	}
	*x = Exchange{
		Client:   x.Client,
		Request:  Request{Header: request, Trailer: requestTrailer},
		Response: Response{Header: response, Trailer: responseTrailer},
		Attempts: x.Attempts[:0],
		Vetoed:   x.Vetoed[:0],
		Reported: x.Reported[:0],
	}
}

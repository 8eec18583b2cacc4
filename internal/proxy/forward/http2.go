package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// h2 carries a call over one stream of HTTP/2.
type h2 struct {
	up      *dial.Stream
	request *http.Request
	target  url.URL
	trace   httptrace.ClientTrace
	body    *outgoing      // nil: the request has none
	pipe    *io.PipeWriter // our direction, once protocols have switched
	res     *http.Response
	head    int64       // bytes of the request's head
	wrote   atomic.Bool // the request's head was written
	halted  bool        // the wait was ended by us: a write may have been under way
	answers atomic.Bool // something of an answer has come
	ended   bool        // nothing of the answer is left to read
	interim interim
}

// send gives net/http strings of its own: it keeps them in the table of its compression (RFC 7541), which outlives the
// buffers that ours are views of.
func (l *h2) send(c *Call) error {
	r := &c.X.Request
	l.target = url.URL{Scheme: "http", Host: strings.Clone(c.Attempt.Authority), Opaque: strings.Clone(c.Attempt.Path)}
	if l.up.Secure() {
		l.target.Scheme = "https"
	}
	if c.Attempt.Scheme != "" {
		l.target.Scheme = c.Attempt.Scheme
	}
	if strings.HasPrefix(l.target.Opaque, "//") { // net/url would take its first segment for a host
		l.target.Opaque = "//" + l.target.Host + l.target.Opaque
	}
	l.trace = httptrace.ClientTrace{
		WroteHeaders:         func() { l.wrote.Store(true) },
		GotFirstResponseByte: func() { l.answers.Store(true) },
		Got1xxResponse:       l.interim.take,
	}
	l.request = new(http.Request).WithContext(httptrace.WithClientTrace(l.up.Context(), &l.trace)) // which copies: so it comes first
	l.request.Method, l.request.URL, l.request.Host = strings.Clone(r.Method), &l.target, l.target.Host
	l.request.Header = make(http.Header, c.Attempt.Header.Len())
	l.request.Proto, l.request.ProtoMajor = "HTTP/2.0", 2
	l.fields(c)
	var src io.Reader
	switch {
	case r.Upgrade != "" && r.Method == http.MethodGet: // other requests to switch are ignored, as they may be
		l.connect(r)
	case c.Held != nil:
		src = bytes.NewReader(c.Held)
		l.request.ContentLength = int64(len(c.Held))
	case r.Body != nil:
		src = r.Body
		l.request.ContentLength = r.Length
	}
	if src != nil && l.request.ContentLength != 0 {
		l.body = &outgoing{c: c, up: l.up, src: src, held: c.Held != nil, trailer: l.request.Trailer, done: make(chan struct{})}
		l.request.Body = l.body
	}
	l.interim.call = c
	return nil
}

// fields are those of the attempt's view. What net/http would add by itself is kept away.
func (l *h2) fields(c *Call) {
	out := l.request.Header
	size := 0
	var own exchange.Header
	own.Own(&c.Attempt.Header)
	lines := make([]string, 0, own.Len())
	for _, f := range own.Fields() {
		if http1.HopOrFraming(f.Name) {
			continue
		}
		name := http.CanonicalHeaderKey(f.Name)
		if name == "Trailer" {
			l.announce(f.Value)
			continue
		}
		if out[name] == nil {
			lines = append(lines, f.Value)
			out[name] = lines[len(lines)-1 : len(lines) : len(lines)]
		} else {
			out[name] = append(out[name], f.Value)
		}
		size += len(f.Name) + len(f.Value)
	}
	if out["User-Agent"] == nil {
		out["User-Agent"] = []string{""}
	}
	if c.X.Request.Trailers {
		out["Te"] = []string{"trailers"}
	}
	l.head = int64(size + len(c.Attempt.Path) + len(c.Attempt.Authority))
}

// announce prepares the trailers that the client says will come: net/http sends no others.
func (l *h2) announce(names string) {
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.Trim(name, " \t"); name != "" && !http1.ForbiddenTrailer(name) {
			if l.request.Trailer == nil {
				l.request.Trailer = http.Header{}
			}
			l.request.Trailer[http.CanonicalHeaderKey(name)] = nil
		}
	}
}

// connect asks for another protocol on the stream (RFC 8441).
func (l *h2) connect(r *exchange.Request) {
	l.request.Method = http.MethodConnect
	l.request.Header[":protocol"] = []string{strings.Clone(r.Upgrade)}
	l.request.Header.Del(webSocketKey) // the stream takes its place (RFC 8441, section 5)
	l.request.ContentLength = -1
	var in *io.PipeReader
	in, l.pipe = io.Pipe()
	l.request.Body = in
}

func (l *h2) answer(c *Call) error {
	res, err := l.up.RoundTrip(l.request) //nolint:bodyclose // settle closes it
	l.interim.wait()
	if err != nil {
		l.halted = l.up.Context().Err() != nil
		if l.body != nil {
			if cause := l.body.failure(); cause != nil {
				return cause
			}
		}
		if strings.Contains(err.Error(), "extended connect not supported by peer") {
			return wrong("the far side does not switch protocols over HTTP/2")
		}
		return unwell(err)
	}
	l.res = res
	size := 0
	for name, values := range res.Header {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	l.up.Head(size)
	return l.fill(&c.X.Response, c.X.Request.Method)
}

// fill makes the exchange's answer of net/http's. Its fields come in the order of their names.
func (l *h2) fill(res *exchange.Response, method string) error {
	res.Header.Reset()
	res.Trailer.Reset()
	*res = exchange.Response{
		Version: exchange.HTTP2, Status: l.res.StatusCode, Phrase: http.StatusText(l.res.StatusCode),
		Header: res.Header, Trailer: res.Trailer, Length: exchange.LengthUnknown,
	}
	if digits, _, _ := strings.Cut(l.res.Status, " "); len(digits) != 3 || res.Status < http.StatusOK || res.Status > 599 {
		return wrong("status that is none")
	}
	for _, name := range [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"} { // RFC 9113, section 8.2.2
		if l.res.Header[name] != nil {
			return wrong("field of a connection in an answer of HTTP/2")
		}
	}
	var room [32]string
	names, lines := room[:0], 0
	for name, values := range l.res.Header {
		names = append(names, name)
		lines += len(values)
	}
	if lines > http1.DefaultFields {
		return wrong("too many fields")
	}
	slices.Sort(names)
	for _, name := range names {
		if name == "Content-Length" {
			n, err := length(l.res.Header[name])
			if err != nil {
				return err
			}
			res.Length = n
			continue
		}
		for _, value := range l.res.Header[name] {
			res.Header.Add(name, value)
		}
	}
	if len(l.res.Trailer) > 0 { // announced: in HTTP/1.1 a stated length leaves no room for them
		res.Length = exchange.LengthUnknown
		if names := http1.Announce(maps.Keys(l.res.Trailer)); names != "" {
			res.Header.Add("Trailer", names)
		}
	}
	switch {
	case method == http.MethodHead, res.Status == http.StatusNoContent, res.Status == http.StatusNotModified:
		if res.Length == exchange.LengthUnknown {
			res.Length = exchange.LengthAbsent
		}
	case l.request.Method == http.MethodConnect && res.Status < 300:
		l.switched(res)
	case l.res.ContentLength == 0 && res.Length == exchange.LengthUnknown && len(l.res.Trailer) == 0: // END_STREAM with the head: net/http's body is then no http.NoBody
		res.Length = 0
	case res.Length == 0:
		if err := l.empty(res); err != nil {
			return err
		}
	default:
		res.Body = incoming{l, res}
	}
	l.ended = res.Body == nil
	return nil
}

// empty waits for the end of an answer that says it has no body. Its head then goes on with the stream's end on it, as it
// came: to gRPC's clients it is trailers, and a head that is not the end has other rules.
func (l *h2) empty(res *exchange.Response) error {
	switch _, err := l.res.Body.Read(make([]byte, 1)); {
	case !errors.Is(err, io.EOF):
		return unwell(err)
	case len(l.res.Trailer) > 0:
		res.Body = incoming{l, res}
	}
	return nil
}

// unwell is an answer that came to nothing.
func unwell(err error) error {
	if dial.Malformed(err) {
		return errors.Join(wrong("malformed answer"), err)
	}
	return errors.Join(ErrUpstream, err)
}

// switched says in HTTP/1.1's words that the stream speaks the other protocol now.
func (l *h2) switched(res *exchange.Response) {
	res.Status, res.Phrase, res.Length = http.StatusSwitchingProtocols, "", exchange.LengthAbsent
}

func length(values []string) (int64, error) {
	if len(values) != 1 {
		return 0, wrong("more than one Content-Length")
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil {
		return 0, wrong("malformed Content-Length")
	}
	return int64(n), nil
}

// incoming is the answer's body; with its end come the trailers.
type incoming struct {
	l   *h2
	res *exchange.Response
}

func (b incoming) Read(p []byte) (int, error) {
	n, err := b.l.res.Body.Read(p)
	b.l.up.Body(n)
	b.l.ended = errors.Is(err, io.EOF)
	if b.l.ended && b.res.Trailer.Len() == 0 {
		for _, name := range slices.Sorted(maps.Keys(b.l.res.Trailer)) {
			for _, value := range b.l.res.Trailer[name] {
				b.res.Trailer.Add(name, value)
			}
		}
	}
	return n, err
}

func (l *h2) whole() ([]byte, bool) { return nil, false }
func (l *h2) ready() bool           { return false }
func (l *h2) reusable() bool        { return true }

func (l *h2) uploading() bool { return l.body != nil && !l.body.read.Load() }

func (l *h2) settle(c *Call) bool {
	if l.pipe != nil {
		_ = l.pipe.CloseWithError(io.ErrClosedPipe)
	}
	whole := l.body == nil || l.body.stop(c, l.up)
	if l.res != nil {
		if !l.ended {
			l.up.Left()
		}
		_ = l.res.Body.Close()
	}
	return whole
}

// account counts the head without what HPACK makes of it. Like in HTTP/1.1, bytes of a write that is under way count:
// net/http tells of a head once it is written, and a far side that does not read now may do so later.
func (l *h2) account(c *Call) {
	switch {
	case !l.wrote.Load() && !l.halted:
		c.Attempt.Written = 0
	case l.body != nil:
		c.Attempt.Written = l.head + l.body.count()
	default:
		c.Attempt.Written = l.head
	}
}

func (l *h2) facts(c *Call, err error) Facts {
	l.account(c)
	_, malformed := errors.AsType[*http1.Error](err)
	f := Facts{Silent: !malformed && !l.answers.Load(), Alone: dial.StreamEnded(err)}
	f.Unsent = c.Attempt.Written == 0 || dial.Untaken(err) || !l.up.Reused() && f.Silent && dial.RefusedByPeer(err)
	return f
}

func (l *h2) tunnel() accept.Tunnel { return &h2Tunnel{l} }

type h2Tunnel struct{ l *h2 }

func (t *h2Tunnel) Write(p []byte) (int, error) {
	t.l.up.Sent(len(p))
	return t.l.pipe.Write(p)
}

func (t *h2Tunnel) CloseWrite() error { return t.l.pipe.Close() }

func (t *h2Tunnel) Read(p []byte) (int, error) {
	n, err := t.l.res.Body.Read(p)
	t.l.up.Body(n)
	return n, err
}

// interim passes interim answers on. net/http tells of them while it reads the connection that all streams share, which
// must not wait for one client: so another goroutine writes them, and the answer waits for it.
type interim struct {
	call  *Call
	mu    sync.Mutex
	queue []exchange.Response
	count int
	done  chan struct{} // closed when the queue is empty; nil: nobody writes
	over  bool          // nobody waits any more: what still comes is for nobody
}

func (i *interim) take(code int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch i.count++; {
	case i.count > interimMax:
		return &http1.Error{Status: http.StatusBadGateway, Text: "too many interim answers"}
	case code == http.StatusSwitchingProtocols: // which HTTP/2 has not (RFC 9113, section 8.6), and a client of HTTP/1.1 would believe
		return &http1.Error{Status: http.StatusBadGateway, Text: "protocol switched over HTTP/2"}
	}
	if code == http.StatusContinue || i.over {
		return nil
	}
	res := exchange.Response{Version: exchange.HTTP2, Status: code, Phrase: http.StatusText(code), Length: exchange.LengthAbsent}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			res.Header.Add(name, value)
		}
	}
	clean(&res.Header)
	i.queue = append(i.queue, res)
	if i.done == nil {
		i.done = make(chan struct{})
		go i.write(i.done)
	}
	return nil
}

func (i *interim) write(done chan struct{}) {
	defer close(done)
	defer i.call.survive()
	for {
		i.mu.Lock()
		if len(i.queue) == 0 {
			i.done = nil
			i.mu.Unlock()
			return
		}
		res := i.queue[0]
		i.queue = i.queue[1:]
		i.mu.Unlock()
		if i.call.Client.Inform(&res) != nil {
			return // what follows says so
		}
	}
}

// wait ends the taking: a wait for the answer that was ended leaves net/http reading for a moment, while the client is
// told by somebody else, or is another's already.
func (i *interim) wait() {
	i.mu.Lock()
	i.over = true
	done := i.done
	i.mu.Unlock()
	if done != nil {
		i.call.Watch.Arm(watch.StreamIdleTimeout, i.call.Timeouts.StreamIdle) // it is the client that is waited for
		<-done
	}
}

var errStopped = fmt.Errorf("request body: %w", context.Canceled)

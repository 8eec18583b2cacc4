package accept

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// Stream is one HTTP/2 stream, as the Client of its exchange.
type Stream struct {
	Base
	set     *h2
	pacing  *pacing
	request *http.Request
	w       http.ResponseWriter
	control http.ResponseController
	own     exchange.Header // room for fields
	ctx     context.Context //nolint:containedctx // the stream's life is the context's
	cancel  context.CancelFunc
	room    *[]byte
	left    int64 // of a body of stated length; negative where none is stated
	begun   bool
	ended   bool
	retired bool
	broken  bool        // the answer cannot be completed
	held    bool        // net/http holds the answer's body until the handler returns
	stopped atomic.Bool // nobody reads the request's body any more
	read    atomic.Bool // the request's body has been read to its end
}

var streams = sync.Pool{New: func() any { return new(Stream) }}

// serve is one stream, from net/http's server.
func (h *h2) serve(w http.ResponseWriter, r *http.Request) {
	room := h.enter()
	defer h.leave()
	at := r.Context().Value(wireKey{}).(*wire)
	st := streams.Get().(*Stream)
	*st = Stream{
		pacing: at.pacing, retired: at.pacing.request(),
		Base: Base{Peer: at.peer, X: st.X, Served: st.Served, path: st.path},
		set:  h, request: r, w: w, control: *http.NewResponseController(w), own: st.own,
	}
	// Not below the request's context, whose end is looked out for once: for the watch, and then for this one.
	st.ctx, st.cancel = context.WithCancel(exchange.WithNotes(context.Background()))
	st.Watch = h.set.config.Sweeper.Add(nil, st.stop)
	entry, cancel := st.Watch, st.cancel // the stream may be another's by the time that the function runs
	left := context.AfterFunc(r.Context(), func() { entry.Stop(watch.ClientGone); cancel() })
	whole := st.exchange(room)
	left()
	st.Watch.Remove()
	st.cancel()
	if st.room != nil {
		giveRoom(&st.room)
	}
	broken := st.broken || !st.ended
	if st.X.Request.Body != nil && !st.read.Load() {
		st.pacing.frames.Earn(refusedBody)
	}
	if st.pacing.over(r.Context().Err() != nil) {
		at.cut()
	}
	if st.held && !broken { // nobody watches over a stream whose handler has returned
		_ = st.control.SetWriteDeadline(time.Now().Add(h.take))
	}
	if whole { // else somebody may still hold what is in it
		st.own.Reset()
		*st = Stream{Base: Base{X: st.X, Served: st.Served, path: st.path}, own: st.own}
		streams.Put(st)
	}
	if broken {
		panic(http.ErrAbortHandler) // resets the stream: nobody takes a cut answer for a whole one
	}
}

// exchange has the handler answer, where there is room for one more, and reports false where it panicked.
func (st *Stream) exchange(room bool) (whole bool) {
	defer func() {
		if p := recover(); p != nil {
			LogPanic(st.set.set.config.Logger, p)
			st.broken, whole = true, false
		}
		st.Watch.End()
	}()
	st.X.Reset()
	st.X.Start = time.Now()
	st.X.Client.Address = st.Address
	st.newID()
	st.Watch.Begin(0)
	err := st.adopt()
	if err == nil && !room {
		err = &http1.Error{Status: http.StatusServiceUnavailable, Text: "too many requests at once"}
	}
	if err != nil {
		wrong, _ := errors.AsType[*http1.Error](err)
		st.set.set.config.Handler.Broken(st, wrong)
		return true
	}
	st.set.set.config.Handler.Serve(st)
	return true
}

// stop is called by the sweeper: whatever the stream waits for is over. It is not called after Watch.End.
func (st *Stream) stop(cause watch.Cause) {
	st.cancel()
	_ = st.control.SetReadDeadline(past)
	_ = st.control.SetWriteDeadline(lastWrite(cause))
}

// adopt makes the exchange's request of net/http's. Its fields come in the order of their names, since net/http keeps none.
func (st *Stream) adopt() error {
	in, r := st.request, &st.X.Request
	r.Version, r.Method, r.Scheme = exchange.HTTP2, in.Method, scheme(st.Secure)
	switch protocol := in.Header.Get(":protocol"); {
	case protocol == "":
	case in.Method != http.MethodConnect: // net/http lets it pass
		return &http1.Error{Status: http.StatusBadRequest, Text: "a protocol without CONNECT"}
	default: // what HTTP/1.1 asks for by a GET (RFC 8441, section 5)
		r.Upgrade, r.Method = protocol, http.MethodGet
	}
	f := http1.Foreign{Target: in.RequestURI, Authority: in.Host, Body: in.Body != nil && in.Body != http.NoBody && in.ContentLength != 0}
	var room [32]string
	names := room[:0]
	earned := requestFrame + len(in.RequestURI) + len(in.Host)
	for name, values := range in.Header {
		names = append(names, name)
		for _, value := range values {
			earned += len(name) + len(value) + fieldFrame
		}
	}
	st.pacing.frames.Earn(int64(earned))
	slices.Sort(names)
	for _, name := range names {
		values := in.Header[name]
		f.Fields += len(values)
		switch name {
		case "Host":
			f.Hosts = values
		case "Content-Length":
			f.Lengths = values
			f.Body = f.Body || in.ContentLength != 0
		case ":protocol":
		default:
			for _, value := range values {
				r.Header.Add(name, value)
			}
		}
	}
	if err := http1.Adopt(r, f, st.set.set.config.Limits); err != nil {
		return err
	}
	if r.Length == 0 {
		if err := st.ends(); err != nil {
			return err
		}
	}
	switch {
	case r.Upgrade != "":
		r.Length = exchange.LengthAbsent // what follows is the tunnel
	case r.Length == exchange.LengthUnknown || r.Length > 0:
		r.Body = streamBody{st}
		if names := http1.Announce(maps.Keys(in.Trailer)); names != "" {
			r.Header.Add("Trailer", names)
		}
	case r.Length == exchange.LengthAbsent && (r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch):
		r.Length = 0 // HTTP/1.1 servers want it said (RFC 9110, section 8.6)
	}
	return st.clean()
}

// ends waits for the end of a request that states a body of no bytes: what else came would make it one that must not be
// passed on (RFC 9113, section 8.1.1), and nobody reads it later.
func (st *Stream) ends() error {
	st.Watch.Arm(watch.HeadTimeout, headTimeout)
	n, err := st.request.Body.Read(make([]byte, 1))
	cause := st.Watch.Cause()
	st.Watch.Disarm()
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return nil
	case cause == watch.HeadTimeout:
		return err
	}
	return &http1.Error{Status: http.StatusBadRequest, Text: "a body longer than its Content-Length of 0"}
}

// streamBody is the request's body; with its end come the trailers.
type streamBody struct{ st *Stream }

func (b streamBody) Read(p []byte) (int, error) {
	n, err := b.st.request.Body.Read(p)
	b.st.pacing.frames.Earn(bodyFrame * int64(n))
	if errors.Is(err, io.EOF) {
		b.st.ending()
	}
	return n, err
}

func (st *Stream) ending() {
	if st.read.Swap(true) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(st.request.Trailer)) {
		for _, value := range st.request.Trailer[name] {
			st.X.Request.Trailer.Add(name, value)
		}
	}
}

// Context implements Client.
func (st *Stream) Context() context.Context { return st.ctx }

// Held implements Client: net/http does not say what has come.
func (st *Stream) Held() ([]byte, bool) { return nil, st.X.Request.Body == nil }

// Consumed implements Client.
func (st *Stream) Consumed() bool { return st.read.Load() || st.X.Request.Body == nil }

// Last implements Client: the rest of one stream concerns no other.
func (st *Stream) Last() {}

// Retire implements Client.
func (st *Stream) Retire() { st.retired = true }

// StopReading implements Client.
func (st *Stream) StopReading() {
	st.stopped.Store(true)
	_ = st.control.SetReadDeadline(past)
}

// ResumeReading implements Client: what net/http has ended stays so.
func (st *Stream) ResumeReading() bool { return !st.stopped.Load() }

// Continue implements Client: net/http says it with the first read.
func (st *Stream) Continue() error { return nil }

// Inform implements Client.
func (st *Stream) Inform(r *exchange.Response) error {
	st.fields(&r.Header)
	st.w.WriteHeader(r.Status)
	clear(st.w.Header())
	return nil
}

// fields gives net/http strings of its own: it keeps them in the table of its compression (RFC 7541), which outlives the
// buffers that ours are views of.
func (st *Stream) fields(h *exchange.Header) {
	st.own.Own(h)
	out := st.w.Header()
	lines := make([]string, 0, h.Len())
	for _, f := range st.own.Fields() {
		name := http.CanonicalHeaderKey(f.Name)
		if out[name] != nil {
			out[name] = append(out[name], f.Value)
			continue
		}
		lines = append(lines, f.Value)
		out[name] = lines[len(lines)-1 : len(lines) : len(lines)]
	}
}

// Begin implements Client.
func (st *Stream) Begin(r *exchange.Response, body []byte, whole bool) error {
	st.fields(&r.Header)
	out := st.w.Header()
	for _, name := range [...]string{"Date", "Content-Type"} { // net/http would make up what the answer does not have
		if out[name] == nil {
			out[name] = nil
		}
	}
	if st.retired {
		out.Set("Connection", "close") // net/http makes a GOAWAY of it
	}
	st.left = -1
	bodiless := st.X.Request.Method == http.MethodHead || r.Status == http.StatusNoContent || r.Status == http.StatusNotModified
	switch {
	case r.Status == http.StatusNoContent: // has no length, whatever the backend said (RFC 9110, section 8.6)
	case r.Length >= 0:
		out.Set("Content-Length", strconv.FormatInt(r.Length, 10))
		st.left = r.Length
	case r.Length == exchange.LengthAbsent && !bodiless && r.Body == nil && whole:
		out.Set("Content-Length", "0")
	}
	if bodiless {
		body, whole, st.left = nil, true, 0
	}
	st.begun = true
	st.w.WriteHeader(r.Status)
	if err := st.write(body, whole); err != nil {
		return err
	}
	st.X.FirstByte = time.Since(st.X.Start)
	st.ended, st.held = whole, whole && len(body) > 0
	return st.count(0, whole)
}

// write sends body bytes on. net/http's own buffer is 4 KiB: what is larger passes it by.
func (st *Stream) write(p []byte, whole bool) error {
	var err error
	st.Watch.Write()
	if len(p) > 0 {
		_, err = st.w.Write(p)
	}
	if err == nil && !whole && len(p) <= 4<<10 {
		err = st.control.Flush()
	}
	st.Watch.Write()
	if err != nil {
		st.broken = true
		return errors.Join(ErrClient, err)
	}
	st.pacing.frames.Earn(answerFrame + int64(len(p))/answerShare)
	st.X.BytesOut += int64(len(p))
	return st.count(int64(len(p)), false)
}

// count keeps the account of a body of stated length.
func (st *Stream) count(n int64, end bool) error {
	if st.left < 0 {
		return nil
	}
	if st.left -= n; st.left < 0 || end && st.left > 0 {
		st.broken = true
		return errors.New("answer: body and its stated length differ")
	}
	return nil
}

// Begun implements Client.
func (st *Stream) Begun() bool { return st.begun }

// Room implements Client.
func (st *Stream) Room(lean bool) []byte { return takeRoom(&st.room, lean) }

// Send implements Client.
func (st *Stream) Send(n int) error {
	if n == 0 || st.ended {
		return nil
	}
	return st.write(inside(st.room)[:n], false)
}

// End implements Client.
func (st *Stream) End(trailer *exchange.Header) error {
	if st.ended {
		return nil
	}
	if trailer != nil {
		var own exchange.Header
		own.Own(trailer)
		for _, f := range own.Fields() {
			if !http1.ForbiddenTrailer(f.Name) {
				st.w.Header().Add(http.TrailerPrefix+f.Name, f.Value)
			}
		}
	}
	st.ended = true
	return st.count(0, true)
}

// Abort implements Client.
func (st *Stream) Abort() { st.broken = true }

// Tunnel implements Client (RFC 8441).
func (st *Stream) Tunnel() Tunnel { return streamTunnel{st} }

type streamTunnel struct{ st *Stream }

func (t streamTunnel) Read(p []byte) (int, error) {
	n, err := t.st.request.Body.Read(p)
	t.st.pacing.frames.Earn(bodyFrame * int64(n))
	if err != nil && t.st.stopped.Load() { // by us: that is no failure of the client's
		err = io.EOF
	}
	return n, err
}

func (t streamTunnel) Write(p []byte) (int, error) {
	if err := t.st.write(p, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite implements Tunnel: the answer of a stream ends with its handler alone, so both directions end.
func (t streamTunnel) CloseWrite() error {
	t.st.StopReading()
	return nil
}

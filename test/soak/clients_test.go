package soak

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit/websocket"
)

// clients speak to the gateway in every version.
type clients struct {
	address, secure string
	ways            []*http.Transport
	heads           []string // URLs up to the path, one for each way
}

func newClients(address, secure string, roots *x509.CertPool) *clients {
	c := &clients{address: address, secure: secure}
	for i := range 4 {
		h := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, Protocols: new(http.Protocols)}
		h.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: "gateway.test", MinVersion: tls.VersionTLS12}
		h.Protocols.SetHTTP1(i%2 == 0)
		h.Protocols.SetUnencryptedHTTP2(i == 1)
		h.Protocols.SetHTTP2(i == 3)
		c.ways = append(c.ways, h)
		c.heads = append(c.heads, []string{"http://" + address, "https://" + secure}[i/2])
	}
	return c
}

func (c *clients) close() {
	for _, h := range c.ways {
		h.CloseIdleConnections()
	}
}

// request is one that is drawn: to whom, in which version, with what, and for what.
type request struct {
	way     int // of clients.ways
	path    string
	method  string
	in      int // bytes of the body
	known   bool
	inSeed  uint64
	out     int // bytes of the answer
	outSeed uint64
	answer  string // how it comes
	fields  http.Header
}

// size is 0 now and then, else as likely to be small as large, up to 1 MiB.
func size(dice *rand.Rand) int {
	if dice.IntN(10) == 0 {
		return 0
	}
	return 1 + dice.IntN(1<<(1+dice.IntN(20)))
}

func draw(dice *rand.Rand, answers ...string) *request {
	q := &request{
		way: dice.IntN(4), path: []string{"/plain", "/h2", "/tls"}[dice.IntN(3)], method: http.MethodGet, known: dice.IntN(2) == 0,
		inSeed: dice.Uint64(), out: size(dice), outSeed: dice.Uint64(), answer: answers[dice.IntN(len(answers))], fields: http.Header{},
	}
	if dice.IntN(2) == 0 {
		q.method, q.in = http.MethodPost, size(dice)
	}
	return q
}

// begin sends it, and gives the answer's head.
func (c *clients) begin(ctx context.Context, q *request) (*http.Response, error) {
	url := fmt.Sprintf("%s%s?way=%s&seed=%d&size=%d", c.heads[q.way], q.path, q.answer, q.outSeed, q.out)
	body := func() (io.ReadCloser, error) { return io.NopCloser(content(q.inSeed, q.in)), nil }
	r, err := http.NewRequestWithContext(ctx, q.method, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header = q.fields
	if q.in > 0 {
		r.Body, _ = body()
		r.GetBody, r.ContentLength = body, -1
		if q.known {
			r.ContentLength = int64(q.in)
		}
	}
	return c.ways[q.way].RoundTrip(r)
}

// whole sends it and holds all that comes back against what was asked for.
func (c *clients) whole(ctx context.Context, q *request) error {
	res, err := c.begin(ctx, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return q.check(res, res.Body)
}

func (q *request) check(res *http.Response, body io.Reader) error {
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(body, 1<<10))
		return fmt.Errorf("%s %s", res.Status, text)
	}
	want := digestOf(q.outSeed, q.out)
	if q.answer == "events" {
		var text strings.Builder
		for i := range eventsOf(q.outSeed) {
			text.WriteString(event(q.outSeed, i))
		}
		want, _ = digest(strings.NewReader(text.String()))
	}
	got, err := digest(body)
	switch {
	case err != nil:
		return fmt.Errorf("after %s: %w", got, err)
	case got != want:
		return fmt.Errorf("the answer is %s, not %s", got, want)
	case res.Header.Get(gotField) != digestOf(q.inSeed, q.in):
		return fmt.Errorf("%s has come of the request, not %s", res.Header.Get(gotField), digestOf(q.inSeed, q.in))
	case (q.answer == "trailers" || q.answer == "call") && res.Trailer.Get(sumField) != want:
		return fmt.Errorf("trailers %v", res.Trailer)
	case q.answer == "call" && res.Trailer.Get("Grpc-Status") != "0":
		return fmt.Errorf("trailers %v", res.Trailer)
	}
	return nil
}

// kind is one way to behave; what it returns is a broken promise of the gateway's.
type kind struct {
	name string
	of   int // 100
	do   func(ctx context.Context, c *clients, dice *rand.Rand) error
}

var kinds = []kind{
	{"whole", 40, func(ctx context.Context, c *clients, dice *rand.Rand) error {
		return c.whole(ctx, draw(dice, "counted", "chunked", "trailers", "slow"))
	}},
	{"events", 12, func(ctx context.Context, c *clients, dice *rand.Rand) error {
		return c.whole(ctx, draw(dice, "events"))
	}},
	{"calls", 8, call},
	{"WebSockets", 5, socket},
	{"clients leave before the answer's end", 8, leave},
	{"clients are reset within their request", 6, cut},
	{"clients read slowly", 5, slow},
	{"clients never read", 5, neverRead},
	{"far sides reset", 5, func(ctx context.Context, c *clients, dice *rand.Rand) error {
		return c.broken(ctx, dice, "reset", http.StatusBadGateway, http.StatusGatewayTimeout)
	}},
	{"far sides break off", 4, func(ctx context.Context, c *clients, dice *rand.Rand) error {
		return c.broken(ctx, dice, "cut", http.StatusBadGateway, http.StatusGatewayTimeout) // the reset may overtake the answer's head
	}},
	{"far sides stall", 2, func(ctx context.Context, c *clients, dice *rand.Rand) error {
		return c.broken(ctx, dice, "stall", http.StatusGatewayTimeout)
	}},
}

// call is one of gRPC as far as proxies know it: HTTP/2 with its status in the trailers.
func call(ctx context.Context, c *clients, dice *rand.Rand) error {
	q := draw(dice, "call")
	q.way, q.path, q.method, q.known = 1+2*(q.way%2), "/calls", http.MethodPost, false
	q.in = max(q.in, 1)
	q.fields = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
	return c.whole(ctx, q)
}

func socket(ctx context.Context, c *clients, dice *rand.Rand) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	s, _, err := websocket.Dial(conn, c.address, "/sockets")
	if err != nil {
		return err
	}
	for range dice.IntN(10) {
		sent, _ := io.ReadAll(content(dice.Uint64(), size(dice)/16))
		if err := s.Write(websocket.Binary, sent); err != nil {
			return err
		}
		if _, got, err := s.Read(); err != nil || !slices.Equal(got, sent) {
			return fmt.Errorf("%d bytes come back as %d: %w", len(sent), len(got), err)
		}
	}
	if dice.IntN(2) == 0 {
		return nil // without a word
	}
	return s.Write(websocket.Close, nil)
}

// leave gives up at any time; what came whole before is to be right.
func leave(ctx context.Context, c *clients, dice *rand.Rand) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(dice.Int64N(int64(30*time.Millisecond))))
	defer cancel()
	err := c.whole(ctx, draw(dice, "counted", "chunked", "slow", "events"))
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// cut leaves by a reset, or an end, within the head or the body.
func cut(ctx context.Context, c *clients, dice *rand.Rand) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", []string{c.address, c.secure}[dice.IntN(2)])
	if err != nil {
		return err
	}
	defer conn.Close()
	q := draw(dice, "counted")
	text := fmt.Sprintf("POST %s?way=counted HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", q.path, 1<<20)
	if dice.IntN(3) == 0 {
		text = text[:dice.IntN(len(text))]
	} else {
		body, _ := io.ReadAll(content(q.inSeed, size(dice)/2))
		text += string(body)
	}
	_, _ = io.WriteString(conn, text) // the HTTPS listener has no use for it
	if dice.IntN(2) == 0 {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
	return nil
}

// slow takes its time, and gets all of it.
func slow(ctx context.Context, c *clients, dice *rand.Rand) error {
	q := draw(dice, "counted", "chunked")
	res, err := c.begin(ctx, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return q.check(res, &dawdling{res.Body, q.out/50 + 1})
}

// dawdling reads a piece at a time.
type dawdling struct {
	io.Reader
	piece int
}

func (d *dawdling) Read(p []byte) (int, error) {
	time.Sleep(rand.N(4 * time.Millisecond))
	return d.Reader.Read(p[:min(len(p), d.piece)])
}

// neverRead asks for much, takes nothing of it, and leaves after a while.
func neverRead(ctx context.Context, c *clients, dice *rand.Rand) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	if _, err := fmt.Fprintf(conn, "GET /plain?way=chunked&size=%d HTTP/1.1\r\nHost: h\r\n\r\n", 4<<20); err != nil {
		return err
	}
	if _, err := bufio.NewReaderSize(conn, 16).Peek(1); err != nil {
		return err
	}
	select {
	case <-time.After(time.Duration(dice.Int64N(int64(time.Second)))):
	case <-ctx.Done():
	}
	return nil
}

// broken asks a far side that fails: the client hears of it in one of the gateway's own words, or in an answer that visibly
// breaks off, and never of a whole answer.
func (c *clients) broken(ctx context.Context, dice *rand.Rand, how string, statuses ...int) error {
	q := draw(dice, how)
	q.path, q.out = "/faulty", max(q.out, 2)
	res, err := c.begin(ctx, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil
	}
	var document struct{ Reason string }
	if !slices.Contains(statuses, res.StatusCode) || json.Unmarshal(text, &document) != nil || document.Reason == "" {
		return fmt.Errorf("%s after %s, %d bytes", res.Status, how, len(text))
	}
	return nil
}

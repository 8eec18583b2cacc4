package forward

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
)

// h1 carries a call over HTTP/1.1.
type h1 struct {
	up     *dial.Conn
	upload *upload
	key    string // of the WebSocket that we asked for in an HTTP/2 client's place
}

func (l *h1) send(c *Call) error {
	r := &c.X.Request
	l.connection(c)
	room := heads.Get().(*[]byte)
	defer heads.Put(room)
	head, framing, err := http1.AppendRequest((*room)[:0], http1.RequestHead{
		Method: r.Method, Target: c.Attempt.Target(), Authority: c.Attempt.Authority, Header: &c.Attempt.Header, Length: r.Length,
	})
	if err != nil {
		return fmt.Errorf("request head: %w", err)
	}
	apart := c.Held
	if len(c.Held) <= joinMax {
		head, apart = append(head, c.Held...), nil
	}
	*room = head
	if _, err = l.up.Write(head); err == nil && len(apart) > 0 {
		_, err = l.up.Write(apart)
	}
	if err != nil {
		return errors.Join(ErrUpstream, err)
	}
	if c.streams() {
		l.upload = startUpload(c, l.up, framing)
	}
	return nil
}

// connection writes what concerns this connection alone: which protocol is asked for, and that trailers are welcome.
func (l *h1) connection(c *Call) {
	r, h := &c.X.Request, &c.Attempt.Header
	switch {
	case r.Upgrade != "":
		if r.Version == exchange.HTTP2 && exchange.EqualFold(r.Upgrade, webSocket) {
			l.key = newWebSocketKey()
			h.Set(webSocketKey, l.key)
		}
		h.Add("Connection", "Upgrade")
		h.Add("Upgrade", r.Upgrade)
	case r.Trailers:
		h.Add("Connection", "TE")
		h.Add("TE", "trailers")
	}
}

func (l *h1) answer(c *Call) error {
	res := &c.X.Response
	if err := l.up.Reader.ReadResponse(res, c.X.Request.Method); err != nil {
		if cause := l.upload.failure(); cause != nil {
			return cause
		}
		return errors.Join(ErrUpstream, err)
	}
	switch {
	case res.Status == http.StatusSwitchingProtocols && c.X.Request.Upgrade != "" && !l.up.Reader.Upgrade():
		return wrong("protocol switched, but not to which")
	case res.Status == http.StatusSwitchingProtocols && l.key != "":
		if res.Header.Get(webSocketAccept) != acceptOf(l.key) {
			return wrong("the WebSocket was not accepted as it was asked for")
		}
		res.Header.Del(webSocketAccept)
	case res.Status >= http.StatusOK:
		l.keepAlive(res.Header.Get("Keep-Alive"))
	}
	return nil
}

// keepAlive heeds how long the far side says that it keeps an idle connection.
func (l *h1) keepAlive(parameters string) {
	for parameters != "" {
		var p string
		p, parameters, _ = strings.Cut(parameters, ",")
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if seconds, err := strconv.Atoi(value); err == nil && exchange.EqualFold(name, "timeout") && seconds >= 0 && seconds < 1<<20 {
			l.up.KeepAlive(time.Duration(seconds) * time.Second)
		}
	}
}

func (l *h1) whole() ([]byte, bool) { return l.up.Reader.Body().Whole() }
func (l *h1) ready() bool           { return len(l.up.Reader.Buffered()) > 0 }
func (l *h1) reusable() bool        { return l.up.Reader.Reusable() }

func (l *h1) uploading() bool { return l.upload != nil && !l.upload.read.Load() }

func (l *h1) settle(c *Call) bool {
	whole := l.upload.stop(c, l.up)
	l.upload = nil
	return whole
}

func (l *h1) account(c *Call) { c.Attempt.Written = l.up.Written() }

func (l *h1) facts(c *Call, err error) Facts {
	var wrong *http1.Error
	l.account(c)
	f := Facts{Unsent: c.Attempt.Written == 0, Silent: !errors.As(err, &wrong) && len(l.up.Reader.Buffered()) == 0}
	f.Unsent = f.Unsent || !l.up.Reused() && f.Silent && dial.RefusedByPeer(err)
	return f
}

func (l *h1) tunnel() accept.Tunnel {
	return &h1Tunnel{Conn: l.up, early: l.up.Reader.Buffered()}
}

// h1Tunnel is the far side's connection, with what came behind the head of its answer first.
type h1Tunnel struct {
	*dial.Conn
	early []byte
}

func (t *h1Tunnel) Read(p []byte) (int, error) {
	if len(t.early) > 0 {
		n := copy(p, t.early)
		t.early = t.early[n:]
		return n, nil
	}
	return t.Conn.Read(p)
}

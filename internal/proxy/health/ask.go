package health

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
)

const (
	userAgent  = "ebbgate-health"
	mostOfHead = 64 << 10 // bytes read of an answer over HTTP/1.1
)

// ask asks one address; nil is a healthy answer. No credential is sent.
func (c *Check) ask(ctx context.Context, address netip.AddrPort) error {
	h2 := c.Active.Type == policy.ActiveGRPC || c.Target.Protocol == plan.HTTP2
	conn, err := c.Target.Probe(ctx, address, h2 || c.Target.Protocol != plan.HTTP11)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if state := conn.TLS(); state != nil && state.NegotiatedProtocol == "h2" {
		h2 = true
	}
	switch {
	case c.Active.Type == policy.ActiveTCP:
		return nil
	case c.Active.Type == policy.ActiveGRPC:
		return c.askGRPC(ctx, conn)
	case h2:
		return c.askHTTP2(ctx, conn)
	}
	return c.askHTTP1(ctx, conn)
}

func (c *Check) request(ctx context.Context, conn *dial.Conn, method, path string, body []byte) (*http.Request, error) {
	target, err := url.ParseRequestURI(cmp.Or(path, "/"))
	if err != nil {
		return nil, fmt.Errorf("make the check's request: %w", err)
	}
	target.Host = cmp.Or(c.Host, conn.Address().String())
	if target.Scheme = "http"; conn.TLS() != nil {
		target.Scheme = "https"
	}
	r, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the check's request: %w", err)
	}
	r.Header.Set("User-Agent", userAgent)
	return r, nil
}

func (c *Check) judge(status int) error {
	healthy := slices.Contains(c.Active.Statuses, status)
	if len(c.Active.Statuses) == 0 {
		healthy = status >= 200 && status <= 299
	}
	if !healthy {
		return fmt.Errorf("the check was answered %d", status)
	}
	return nil
}

func (c *Check) askHTTP1(ctx context.Context, conn *dial.Conn) error {
	r, err := c.request(ctx, conn, http.MethodGet, c.Active.Path, nil)
	if err != nil {
		return err
	}
	r.Close = true
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := r.Write(conn); err != nil {
		return fmt.Errorf("send the check: %w", err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, mostOfHead)), r)
	if err != nil {
		return fmt.Errorf("read the check's answer: %w", err)
	}
	_ = answer.Body.Close() // reads on to the limit at the most
	return c.judge(answer.StatusCode)
}

func (c *Check) askHTTP2(ctx context.Context, conn *dial.Conn) error {
	r, err := c.request(ctx, conn, http.MethodGet, c.Active.Path, nil)
	if err != nil {
		return err
	}
	return c.exchange(ctx, conn, r, func(answer *http.Response) error { return c.judge(answer.StatusCode) })
}

// exchange is one request over HTTP/2, with its connection.
func (c *Check) exchange(ctx context.Context, conn *dial.Conn, r *http.Request, judge func(*http.Response) error) error {
	client, err := conn.HTTP2(ctx, c.Target)
	if err != nil {
		return fmt.Errorf("check over HTTP/2: %w", err)
	}
	defer func() { _ = client.Close() }()
	answer, err := client.RoundTrip(r)
	if err != nil {
		return fmt.Errorf("check over HTTP/2: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	return judge(answer)
}

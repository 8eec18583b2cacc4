package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"
)

// client speaks to one entry of a proxy.
func (r *rig) client(e entry) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(e == clear)
	protocols.SetHTTP2(e == secure)
	protocols.SetUnencryptedHTTP2(e == prior)
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		Proxy: nil, Protocols: &protocols, DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: r.roots, ServerName: hostname, MinVersion: tls.VersionTLS13},
	}}
}

// check asks a proxy for each work's answer, and for what the upstream saw, and compares.
func (r *rig) check(ctx context.Context, p *proxy) error {
	for _, w := range r.works {
		if err := r.checkOne(ctx, p, w); err != nil {
			return fmt.Errorf("row %s: %w", w.name, err)
		}
	}
	return nil
}

func (r *rig) checkOne(ctx context.Context, p *proxy, w work) error {
	client := r.client(w.entry)
	defer client.CloseIdleConnections()
	seen, err := ask(ctx, client, p.entries[w.entry], w, w.asks)
	if err != nil {
		return err
	}
	if want := "Bearer " + key + "|bench|" + w.host + "|TLSv1.3|" + w.saw; string(seen) != want {
		return fmt.Errorf("the upstream saw %q of the request, want %q", seen, want)
	}
	if w.streams() { // who sends and reads them looks at each
		return nil
	}
	answer, err := ask(ctx, client, p.entries[w.entry], w, w.path)
	if err != nil {
		return err
	}
	if !bytes.Equal(answer, w.reply()) {
		return fmt.Errorf("an answer of %d bytes that is not the upstream's of %d", len(answer), w.answer)
	}
	return nil
}

// ask sends a work's request for a path to a proxy and returns the answer's body.
func ask(ctx context.Context, client *http.Client, address string, w work, path string) ([]byte, error) {
	scheme := "http://"
	if w.entry == secure {
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(ctx, w.method, scheme+address+path, bytes.NewReader(w.payload()))
	if err != nil {
		return nil, err
	}
	request.Host = w.host
	for _, f := range w.fields() {
		request.Header.Set(f.Name, f.Value)
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d: %.300s", w.method, path, answer.StatusCode, body)
	}
	if status := answer.Trailer.Get("Grpc-Status"); w.grpc() && status != "0" {
		return nil, fmt.Errorf("%s %s: gRPC status %q, %q", w.method, path, status, answer.Header.Get("Grpc-Message"))
	}
	return body, nil
}

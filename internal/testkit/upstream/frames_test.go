package upstream

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// offering is a set of protocols: "1", "2" over TLS, "c" over plain connections.
func offering(which string) (p http.Protocols) {
	p.SetHTTP1(strings.Contains(which, "1"))
	p.SetHTTP2(strings.Contains(which, "2"))
	p.SetUnencryptedHTTP2(strings.Contains(which, "c"))
	return p
}

func (f fixture) speaking(t *testing.T, which string) *http.Client {
	t.Helper()
	client := f.client(t, nil)
	protocols := offering(which)
	client.Transport.(*http.Transport).Protocols = &protocols
	return client
}

func TestSpeaksWhatItOffers(t *testing.T) {
	ctx, fix := patience(t), newFixture(t)
	f := func(offered, client string, secure bool, version string) {
		t.Helper()
		config := Config{Protocols: offering(offered)}
		if secure {
			config.Certificate = fix.server
		}
		up := start(t, config)
		response, _, err := get(ctx, t, fix.speaking(t, client), up.URL()+"/a?b")
		if version == "" {
			if err == nil {
				t.Errorf("%s to %s was served: %s", client, offered, response.Proto)
			}
			return
		}
		if err != nil || response.Proto != version {
			t.Errorf("%s to %s: %v, %v", client, offered, response, err)
			return
		}
		seen, err := up.WaitRequest(ctx, 1)
		if err != nil || seen.Version != version || seen.Target != "/a?b" || seen.Method != "GET" || seen.Host != up.Addr() {
			t.Errorf("%s to %s: saw %+v, %v", client, offered, seen, err)
		}
		if agreed := up.Accepted()[0].Agreed; (agreed == "h2") != (secure && version == "HTTP/2.0") {
			t.Errorf("%s to %s: agreed on %q", client, offered, agreed)
		}
	}
	f("12", "12", true, "HTTP/2.0")
	f("12", "1", true, "HTTP/1.1")
	f("2", "12", true, "HTTP/2.0")
	f("2", "1", true, "")
	f("1", "2", true, "")
	f("1c", "c", false, "HTTP/2.0")
	f("1c", "1", false, "HTTP/1.1")
	f("c", "c", false, "HTTP/2.0")
	f("c", "1", false, "")
	f("1", "c", false, "")
	for _, config := range []Config{{Protocols: offering("2")}, {Protocols: offering("c"), Certificate: fix.server}} {
		if up, err := New(config); err == nil {
			t.Errorf("started with nothing to speak: %v", up.Close())
		}
	}
}

func TestRecordsStreams(t *testing.T) {
	ctx, fix := patience(t), newFixture(t)
	up := start(t, Config{Certificate: fix.server, Protocols: offering("12")})
	client := fix.speaking(t, "2")
	body := strings.Repeat("0123456789", 20_000) // more than a window
	for range 2 {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, up.URL()+"/a%2Fb", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "named.example"
		request.Header["X-Two"] = []string{"1", "2"}
		request.Trailer = http.Header{"X-Sum": {"6"}}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	for i := range 2 {
		seen, err := up.WaitRequest(ctx, i+1)
		if err != nil {
			t.Fatal(err)
		}
		if seen.Scheme != "https" || seen.Host != "named.example" || seen.Target != "/a%2Fb" || seen.Stream != uint32(2*i+1) ||
			!slices.Equal(seen.Values("x-two"), []string{"1", "2"}) || !strings.Contains(seen.Head, ":authority: named.example\r\n") {
			t.Errorf("%+v", seen)
		}
		if string(seen.Body) != body || !slices.Equal(seen.Trailers, []string{"x-sum: 6"}) {
			t.Errorf("%d bytes, trailers %q", seen.Length, seen.Trailers)
		}
	}
	if c := up.Accepted(); len(c) != 1 || c[0].Requests != 2 || !slices.Contains(c[0].ALPN, "h2") {
		t.Errorf("%+v", c)
	}
}

func TestRecordsResetOfStream(t *testing.T) {
	gate := make(chan struct{})
	fix, up := newFixture(t), start(t, Config{Protocols: offering("c"), Handler: Delay(gate, Echo())})
	ctx, cancel := context.WithCancel(patience(t))
	ended := make(chan error, 1)
	client := fix.speaking(t, "c")
	reader, writer := io.Pipe()
	go func() {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, up.URL(), reader)
		if err == nil {
			_, err = client.Do(request)
		}
		ended <- err
	}()
	if _, err := io.WriteString(writer, "half"); err != nil {
		t.Fatal(err)
	}
	if err := up.Wait(patience(t), func() bool { return len(up.Requests()) == 1 && up.Requests()[0].Length == 4 }); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("answered")
	}
	_ = writer.CloseWithError(context.Canceled)
	if err := up.Wait(patience(t), func() bool { return up.Requests()[0].Reset == "CANCEL" }); err != nil {
		t.Errorf("%v: %+v", err, up.Requests()[0])
	}
	if up.Requests()[0].Complete || up.Open() != 1 {
		t.Errorf("%+v", up.Requests()[0])
	}
}

func TestRecordsHandlersSeeTLS(t *testing.T) {
	fix := newFixture(t)
	up := start(t, Config{Certificate: fix.server, Protocols: offering("2"), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || r.TLS.Version != tls.VersionTLS13 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})})
	if response, _, err := get(patience(t), t, fix.speaking(t, "2"), up.URL()); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", response, err)
	}
}

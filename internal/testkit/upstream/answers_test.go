package upstream

import (
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

func TestAnswers(t *testing.T) {
	ctx, fix := patience(t), newFixture(t)
	for _, version := range []string{"1", "c"} {
		ask := func(handler http.Handler, fields ...string) (*http.Response, string, []int) {
			t.Helper()
			up := start(t, Config{Handler: handler, Protocols: offering(version)})
			var hints []int
			trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				if header.Get("Link") == "</a>" {
					hints = append(hints, code)
				}
				return nil
			}}
			request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, up.URL(), strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			if len(fields) > 0 {
				request.Method = http.MethodGet // of which alone a part is served
				request.Header.Set(fields[0], fields[1])
			}
			response, body, err := do(fix.speaking(t, version), request)
			if err != nil {
				t.Fatal(err)
			}
			return response, body, hints
		}
		response, body, _ := ask(Trailers("hello", "X-Sum", "5"))
		if body != "hello" || response.Trailer.Get("X-Sum") != "5" {
			t.Errorf("%s: %q, trailer %v", version, body, response.Trailer)
		}
		response, _, hints := ask(Hinted(http.StatusEarlyHints, Status(201), "Link", "</a>"))
		if response.StatusCode != 201 || len(hints) != 1 || hints[0] != 103 || response.Header.Get("Link") != "" {
			t.Errorf("%s: %d after %v", version, response.StatusCode, hints)
		}
		if response, body, _ = ask(Early()); response.StatusCode != 413 || body != "no more\n" {
			t.Errorf("%s: early %d %q", version, response.StatusCode, body)
		}
		response, body, _ = ask(Ranges(1000), "Range", "bytes=300-309")
		if response.StatusCode != 206 || len(body) != 10 || body[0] != Byte(300) || response.Header.Get("Content-Range") != "bytes 300-309/1000" {
			t.Errorf("%s: %d, %d bytes, %v", version, response.StatusCode, len(body), response.Header)
		}
	}
}

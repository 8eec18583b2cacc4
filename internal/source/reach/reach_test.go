package reach

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// TestOutage has a real client ask an API server that answers, is gone, and is there again.
func TestOutage(t *testing.T) {
	var status atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if code := int(status.Load()); code != 0 {
			w.WriteHeader(code)
			return
		}
		if h, ok := w.(http.Hijacker); ok {
			if c, _, err := h.Hijack(); err == nil {
				_ = c.Close()
			}
		}
	}))
	defer server.Close()
	var log bytes.Buffer
	now := time.Now()
	r := New(slog.New(slog.NewTextHandler(&log, nil)))
	r.now = func() time.Time { return now }
	config := &rest.Config{Host: server.URL, QPS: -1}
	config.Wrap(r.Wrap)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	clientGo := r.Quiet(slog.NewTextHandler(&log, nil)).WithAttrs([]slog.Attr{slog.String("from", "client-go")})
	f := func(what string, code int, told bool, want string) {
		t.Helper()
		log.Reset()
		status.Store(int32(code))
		_, err := client.CoreV1().RESTClient().Get().AbsPath("/x").MaxRetries(0).Do(t.Context()).Get()
		if err == nil || Told(err) != told {
			t.Errorf("%s: %v, told: %t", what, err, !told)
		}
		if err := clientGo.Handle(t.Context(), slog.NewRecord(now, slog.LevelError, "it failed", 0)); err != nil {
			t.Error(err)
		}
		said := strings.Count(log.String(), "it failed") == 1
		text := log.String()
		if n := strings.Count(strings.ReplaceAll(text, "it failed", ""), "API server"); n != min(len(want), 1) || !strings.Contains(text, want) || said == r.Away() {
			t.Errorf("%s: it said %q, want %q; away: %t", what, text, want, r.Away())
		}
	}
	const away, back = "level=ERROR msg=\"the API server cannot be reached", "level=INFO msg=\"the API server can be reached again\" after="
	f("it answers", 404, false, "")
	f("it is gone", 0, true, away)
	f("it is gone still", 0, true, "")
	f("another answers for it", 502, true, "")
	now = now.Add(7 * time.Second)
	f("it answers again", 403, false, back+"7s")
	f("it is gone a moment later", 503, true, "")
	f("it answers again", 500, false, "")
	now = now.Add(again)
	f("it is gone a minute later", 0, true, away)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f("it answers again", 404, false, back)
	if _, err := client.CoreV1().RESTClient().Get().AbsPath("/x").Do(ctx).Get(); err == nil || r.Away() {
		t.Errorf("whoever asks no longer: %v, away: %t", err, r.Away())
	}
}

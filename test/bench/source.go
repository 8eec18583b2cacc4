package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// period is how often a stream has an event.
const period = 50 * time.Millisecond

// eventSource is the upstream that answers with events, over HTTPS as the other upstreams are. It is part of this
// process so that who sends an event and who receives it have one clock.
type eventSource struct {
	server  *http.Server
	address string
	port    int
	served  chan struct{}
	epoch   time.Time
	show    atomic.Pointer[show] // what is on
}

// show is what the streams of one measurement send.
type show struct {
	streams int
	events  int           // of each stream, once begun
	begin   chan struct{} // closed once all streams are there
	start   time.Time     // set before that
	seats   atomic.Int64  // streams that have come
}

func newEventSource(ctx context.Context, certificate tls.Certificate) (*eventSource, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for streams: %w", err)
	}
	s := &eventSource{address: listener.Addr().String(), port: listener.Addr().(*net.TCPAddr).Port, served: make(chan struct{}), epoch: time.Now()}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s.server = &http.Server{
		Handler: s, Protocols: &protocols, ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13},
	}
	go func() {
		defer close(s.served)
		_ = s.server.ServeTLS(listener, "", "") // ends with ErrServerClosed
	}()
	return s, nil
}

func (s *eventSource) close() {
	_ = s.server.Close()
	<-s.served
}

// ServeHTTP sends a first event, waits for all streams to be there, and sends the others.
func (s *eventSource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	on := s.show.Load()
	if r.Header.Get("Authorization") != "Bearer "+key || on == nil {
		http.Error(w, "no credential, or nothing is on", http.StatusForbidden)
		return
	}
	seat := on.seats.Add(1) - 1
	w.Header().Set("Content-Type", "text/event-stream")
	out := eventWriter{w: w, control: http.NewResponseController(w)}
	if out.send(s.now()) != nil {
		return // the client's side says that its stream broke off
	}
	select {
	case <-on.begin:
	case <-r.Context().Done():
		return
	}
	// Spread over a period, as streams that know nothing of each other are.
	next := on.start.Add(time.Duration(seat) * period / time.Duration(on.streams))
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for range on.events {
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
		if out.send(s.now()) != nil {
			return
		}
		next = next.Add(period)
		timer.Reset(time.Until(next))
	}
}

// now is the time since the source began: it never goes back.
func (s *eventSource) now() time.Duration { return time.Since(s.epoch) }

// eventWriter sends events of a size that a model's tokens have.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	room    []byte
}

// An event is one line of data: a time, and filling.
const (
	eventBefore = `data: {"at":`
	eventAfter  = `,"choices":[{"index":0,"delta":{"content":"` + `token` + `"},"finish_reason":null}],"object":"chat.completion.chunk"}` + "\n\n"
)

func (e *eventWriter) send(at time.Duration) error {
	e.room = strconv.AppendInt(append(e.room[:0], eventBefore...), int64(at), 10)
	e.room = append(e.room, eventAfter...)
	if _, err := e.w.Write(e.room); err != nil {
		return err
	}
	return e.control.Flush()
}

// sentAt is the time in an event's line; false where the line is none.
func sentAt(line string) (time.Duration, bool, error) {
	rest, ok := strings.CutPrefix(line, eventBefore)
	if !ok {
		return 0, false, nil
	}
	number, _, ok := strings.Cut(rest, ",")
	at, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil {
		return 0, false, errors.Join(errors.New("event without a time"), err)
	}
	return time.Duration(at), true, nil
}

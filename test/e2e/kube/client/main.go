// Command client is the workload of the whole-node tests: a Pod that sends requests when it is told to, over HTTP on its
// port 8000. POST /ask sends one and answers with what came of it; POST /load begins to send one again and again, GET /load
// tells what has come of those so far, DELETE /load ends it. What lies under /v1/ it answers itself, as a model's server
// would, with the status that POST /status gave it. It judges nothing. kube's tests have it run.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Ask is a request to send.
type Ask struct {
	Method string      `json:"method"`
	URL    string      `json:"url"`
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
}

// Answer is what came of a request. Status is 0 where none came.
type Answer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
	Error  string      `json:"error"`
}

// Load is what came of all requests so far, by status or by error, each with how often.
type Load struct {
	Outcomes map[string]int `json:"outcomes"`
}

const (
	patience = 30 * time.Second // for one exchange
	most     = 1 << 20          // bytes kept of a body
	pause    = 2 * time.Millisecond
)

func main() {
	s := &server{client: &http.Client{
		Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ask", s.ask)
	mux.HandleFunc("POST /load", s.begin)
	mux.HandleFunc("GET /load", s.tell)
	mux.HandleFunc("DELETE /load", s.end)
	mux.HandleFunc("POST /status", s.become)
	mux.HandleFunc("/v1/", s.model)
	listener := &http.Server{Addr: ":8000", Handler: mux, ReadHeaderTimeout: patience}
	if err := listener.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

type server struct {
	client *http.Client

	mu       sync.Mutex
	outcomes map[string]int
	cancel   context.CancelFunc
	workers  sync.WaitGroup
	status   int // of the model's answers; 0: 200
}

// Served is a model's answer: which Pod it is, and what it was asked with.
type Served struct {
	Pod    string      `json:"pod"`
	Header http.Header `json:"header"`
}

func (s *server) become(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := json.NewDecoder(r.Body).Decode(&s.status); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (s *server) model(w http.ResponseWriter, r *http.Request) {
	name, err := os.Hostname()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.mu.Lock()
	status := cmp.Or(s.status, http.StatusOK)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Served{name, r.Header})
}

func (s *server) ask(w http.ResponseWriter, r *http.Request) {
	var ask Ask
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	give(w, s.send(r.Context(), &ask))
}

func (s *server) send(ctx context.Context, ask *Ask) Answer {
	request, err := http.NewRequestWithContext(ctx, ask.Method, ask.URL, strings.NewReader(ask.Body))
	if err != nil {
		return Answer{Error: err.Error()}
	}
	for name, values := range ask.Header {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
		request.Header.Del("Host")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := io.Copy(&body, io.LimitReader(response.Body, most)); err != nil {
		return Answer{Status: response.StatusCode, Header: response.Header, Error: err.Error()}
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body.String()}
}

// begin sends a request from four at once, until end.
func (s *server) begin(w http.ResponseWriter, r *http.Request) {
	var ask Ask
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		http.Error(w, "there is a load already", http.StatusConflict)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.outcomes = cancel, map[string]int{}
	for range 4 {
		s.workers.Go(func() {
			for ctx.Err() == nil {
				s.count(ctx, s.send(ctx, &ask))
				time.Sleep(pause)
			}
		})
	}
}

// count counts an answer. What ended because the load did is none.
func (s *server) count(ctx context.Context, a Answer) {
	outcome := fmt.Sprint(a.Status)
	if a.Error != "" {
		outcome = strings.TrimSpace(outcome + " " + a.Error)
	} else if a.Status >= http.StatusBadRequest {
		var problem struct{ Reason string }
		if json.Unmarshal([]byte(a.Body), &problem) == nil {
			outcome = strings.TrimSpace(outcome + " " + problem.Reason)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil {
		s.outcomes[outcome]++
	}
}

func (s *server) tell(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	give(w, Load{s.outcomes})
}

func (s *server) end(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	cancel := s.cancel
	s.mu.Unlock()
	if cancel == nil {
		http.Error(w, "there is no load", http.StatusConflict)
		return
	}
	cancel()
	s.workers.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = nil
	give(w, Load{s.outcomes})
}

func give(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

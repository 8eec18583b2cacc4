package observe

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
)

// AdminConfig is what the admin pages show. The functions are called by many at once; nil ones show nothing.
type AdminConfig struct {
	Plan     func() *plan.Plan        // what is served; nil before the first
	Problems func() []problem.Problem // of the newest configuration
	Backends func() any               // how the backends stand, as JSON has it
	Pprof    bool                     // serve /debug/pprof/ too
}

// dump is the form of /config_dump. The plan's secrets print as [redacted].
type dump struct {
	Plan     *plan.Plan        `json:"plan"`
	Problems []problem.Problem `json:"problems"`
}

// Admin serves Admin with the Observer's metrics.
func (o *Observer) Admin(c AdminConfig) http.Handler { return Admin(o.scrape, c) }

// Admin serves what the operator asks on loopback: /config_dump, /problems and /backends as JSON, /metrics, and /debug/pprof/ where
// it is on. Nothing here changes anything. Loopback is open to every web page that a browser on this machine shows, so
// requests that a page could have made are refused: those with an Origin, those of another site (Fetch Metadata), and
// those whose Host is not this machine's loopback, which is what DNS rebinding looks like.
func Admin(metrics http.Handler, c AdminConfig) http.Handler {
	if c.Plan == nil {
		c.Plan = func() *plan.Plan { return nil }
	}
	problems := func() []problem.Problem {
		if c.Problems != nil {
			if list := c.Problems(); list != nil {
				return list
			}
		}
		return []problem.Problem{}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/config_dump", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, dump{c.Plan(), problems()}) })
	mux.HandleFunc("/problems", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, problems()) })
	if c.Backends != nil {
		mux.HandleFunc("/backends", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, c.Backends()) })
	}
	mux.Handle("/metrics", metrics)
	if c.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return localOnly(readOnly(mux))
}

func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site")
		switch {
		case !loopbackHost(r.Host):
			writeText(w, http.StatusForbidden, "the Host must be localhost or a loopback address\n")
		case len(r.Header.Values("Origin")) > 0 || site != "" && site != "none" && site != "same-origin":
			writeText(w, http.StatusForbidden, "not for web pages\n")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// loopbackHost reports whether a Host field, with or without port, names this machine and nothing else.
func loopbackHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil { // no port
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(name)
	return err == nil && address.Unmap().IsLoopback()
}

// writeJSON answers whole or not at all: a value that does not encode is a 500 and no half document.
func writeJSON(w http.ResponseWriter, value any) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		writeText(w, http.StatusInternalServerError, "encode: "+err.Error()+"\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b.Bytes()) // whoever asked has gone
}

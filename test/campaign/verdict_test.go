package campaign

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// wrongs collect what a request breaks.
type wrongs []string

func (w *wrongs) must(ok bool, words string, args ...any) {
	if !ok {
		*w = append(*w, fmt.Sprintf(words, args...))
	}
}

// result is what is kept of a request until the log is whole.
type result struct {
	request *request
	status  int
	problem string
	outcome string
	served  bool
	broken  wrongs
}

// judgeAnswer holds what the client saw against what the far sides wrote.
func judgeAnswer(r *request, v view, arrivals []arrival, executed int) *result {
	res := &result{request: r, status: v.status, problem: v.problem}
	must := res.broken.must
	must(executed <= 1, "executed %d times", executed)
	streamed := v.status == http.StatusOK && strings.Contains(v.header.Get("Content-Type"), "event")
	switch {
	case r.leaves > 0 && v.err != nil:
		res.outcome = "the client left"
	case v.status == 0:
		res.outcome = "nothing"
		must(false, "no answer at all: %v", v.err)
	case v.problem != "":
		res.outcome = fmt.Sprintf("%d %s", v.status, v.problem)
		must(v.err == nil, "a refusal is cut: %v", v.err)
	case v.err != nil:
		res.outcome = "an answer is cut, and the client can tell"
		must(slices.ContainsFunc(arrivals, func(a arrival) bool { return bytes.HasPrefix(a.body, v.body) }), "what came before the cut is not what was sent")
	case streamed:
		res.judgeStream(r, v, arrivals)
	default:
		res.outcome = fmt.Sprintf("%d of the destination", v.status)
		res.served = v.status == http.StatusOK
		must(slices.ContainsFunc(arrivals, func(a arrival) bool { return a.status == v.status && bytes.Equal(a.body, v.body) }), "the answer is none that was sent: %.200q", v.body)
	}
	must(!res.served || executed == 1, "an answer, and it was executed %d times", executed)
	return res
}

// judgeStream is for a stream that came to a regular end.
func (res *result) judgeStream(r *request, v view, arrivals []arrival) {
	e, must := r.endpoint, res.broken.must
	ended, failed := bytes.Contains(v.body, []byte(e.Ended)), bytes.Contains(v.body, []byte(e.Failed))
	must(ended || failed, "a stream ends in silence: …%q", v.body[max(0, len(v.body)-200):])
	sent := slices.ContainsFunc(arrivals, func(a arrival) bool { return bytes.Equal(a.body, v.body) })
	switch {
	case ended && !failed:
		res.outcome, res.served = "200 of the destination", true
		must(slices.ContainsFunc(arrivals, func(a arrival) bool { return bytes.HasPrefix(a.body, v.body) }), "the stream is none that was sent")
	case sent:
		res.outcome = "a stream ends with the destination's error"
	default:
		res.outcome = "a stream ends with the gateway's error"
		events, last := split(v.body, e.Delimiter)
		if len(last) == 0 && len(events) > 0 {
			last = events[len(events)-1]
		} else {
			must(e.Loose, "it ends within an event: %q", last)
		}
		must(bytes.Contains(last, []byte(e.Failed)), "the last event is no error: %q", last)
		before := v.body[:len(v.body)-len(last)]
		must(slices.ContainsFunc(arrivals, func(a arrival) bool { return bytes.HasPrefix(a.body, before) }), "what came before the error is not what was sent")
	}
}

// split cuts a stream into its events; rest is what is none.
func split(stream []byte, delimiter string) (events [][]byte, rest []byte) {
	for len(stream) > 0 {
		n := 0
		if delimiter != "" {
			if i := bytes.Index(stream, []byte(delimiter)); i >= 0 {
				n = i + len(delimiter)
			}
		} else if len(stream) >= 4 {
			n = int(binary.BigEndian.Uint32(stream))
		}
		if n == 0 || n > len(stream) {
			return events, stream
		}
		events, stream = append(events, stream[:n]), stream[n:]
	}
	return events, nil
}

// line is what the access log says of a request.
type line struct {
	UserAgent string `json:"user_agent"`
	Status    int
	Reason    string
	Aborted   string
	Attempts  []struct {
		Backend, Class, Reason string
		Status                 int
		Written                int64
	}
}

// lines are those of the log, by the request's name.
func lines(log string) (map[string]*line, error) {
	all := map[string]*line{}
	for text := range strings.Lines(log) {
		l := &line{}
		if err := json.Unmarshal([]byte(text), l); err != nil {
			return nil, fmt.Errorf("read the access log: %w in %s", err, text)
		}
		if l.UserAgent != "" && all[l.UserAgent] != nil {
			return nil, fmt.Errorf("the access log has %s twice", l.UserAgent)
		}
		all[l.UserAgent] = l
	}
	return all, nil
}

// judgeLog holds what the gateway says of its attempts against what was counted elsewhere, and against what it could have done.
func (res *result) judgeLog(l *line, arrivals []arrival, executed int) {
	must := res.broken.must
	if l == nil {
		must(res.status == 0, "no line in the access log")
		return
	}
	left := res.outcome == "the client left"
	must(l.Status == res.status || left, "the client sees %d, the log has %d", res.status, l.Status)
	must(l.Reason == res.problem || res.problem == "", "the client reads %q, the log has %q", res.problem, l.Reason)
	must(l.Aborted != "client" || left, "the log has the client leave")
	met, sent := map[string]int{}, map[string]int{} // attempts at all, and those that are not called Unsent
	written := int64(0)
	for i, a := range l.Attempts {
		far := strings.TrimPrefix(a.Backend, "Backend/ai/")
		met[far]++
		written += a.Written
		if a.Class != "Unsent" {
			sent[far]++
		}
		last := i == len(l.Attempts)-1
		must(last || a.Class == "Unsent" || a.Class == "Rejected", "sent again after %q", a.Class)
		must(!last || executed == 0 || a.Class != "Unsent" && a.Class != "Rejected", "executed, and called %s", a.Class)
	}
	for _, a := range arrivals {
		sent[a.far]--
		must(sent[a.far] >= 0, "%s got more than the log has", a.far)
	}
	if left || len(l.Attempts) == 0 {
		must(left, "no attempt was made")
		return
	}
	class := l.Attempts[len(l.Attempts)-1].Class
	risky := class != "Unsent" && class != "Rejected"
	must(res.served || risky || len(met) == 3 || res.request.large() && written > 0, "not served, and only %d of 3 destinations were asked", len(met))
	if res.served && len(met) > 1 {
		res.outcome = "200 of another destination"
	}
}

package dialect

// Event is what an event of a stream says. Of several things in one event the greatest counts.
type Event uint8

// The events.
const (
	None     Event = iota // no event ended
	Metadata              // nothing of the answer itself: roles, ids, usage, pings, comments
	End                   // the answer ends regularly, with no output in this event
	Output                // text, tool calls, reasoning, refusals, audio; and whatever is not known
	Error                 // the provider says that it failed
)

func (e Event) String() string {
	return [...]string{"none", "metadata", "end", "output", "error"}[e]
}

const (
	maxEvent  = 256 << 10 // of one event that is kept to be read
	maxIdle   = 16 << 10  // of memory that a stream keeps between events
	maxChoice = 64        // choices of one answer that are told apart
)

// Stream is a stream of one dialect as it comes. Reset makes it ready. It keeps the bytes of the event under way, and
// nothing else of the stream.
type Stream struct {
	dialect Dialect
	output  bool // output has been seen: from here on only the end and errors are looked for
	done    bool // the dialect's last event has been seen
	open    bool // the bytes so far end within an event
	large   bool // the event under way is larger than what is kept
	broken  bool // framing is lost
	begun   bool // its first event was the dialect's own
	text    bool // the line under way of server-sent events is not empty
	cr      bool // the last byte was a carriage return, whose line feed may follow

	prelude  [preludeLength]byte // of the frame under way
	skip     int                 // bytes left of a frame that is too large to keep
	events   int64               // with data, so far
	seen     uint64              // choices that have begun; see choice
	finished uint64              // those of them that have ended

	held    []byte // of the event under way, as far as it was fed
	scratch []byte // data whose bytes do not stand together in the stream
}

// Reset makes the stream one of the dialect's, with nothing read. It keeps a little memory.
func (s *Stream) Reset(d Dialect) {
	*s = Stream{dialect: d, held: idle(s.held), scratch: idle(s.scratch)}
}

// Feed reads p up to the end of the first event that ends in it, takes n bytes, and says what the event is. With None
// all of p was taken and no event ended. It neither changes nor keeps p. Events above 256 KiB are Output.
//
// Once output was seen, Metadata and Output are no longer told apart.
func (s *Stream) Feed(p []byte) (n int, e Event) {
	switch {
	case len(p) == 0:
		return 0, None
	case s.dialect == Unknown:
		return len(p), Output
	case s.dialect.framed():
		n, e = s.frame(p)
	default:
		n, e = s.line(p)
	}
	switch e {
	case None:
		return n, None
	case End:
		if !s.Ended() { // one choice of several
			e = Output
		}
	case Error:
		s.done = true
	}
	s.output = s.output || e == Output
	s.held, s.scratch = idle(s.held), idle(s.scratch)
	return n, e
}

// Boundary reports whether what was fed ends with a whole event, so that another one may follow.
func (s *Stream) Boundary() bool { return !s.open }

// Ended reports whether the answer is over, regularly or with the provider's own error: a stream that stops here is not
// cut. Events may still follow that bring no more of the answer, such as usage.
func (s *Stream) Ended() bool { return s.done || s.seen != 0 && s.seen == s.finished }

// Due reports whether an end is to come: the stream is surely one of its dialect, whose answers say that they are over,
// and this one has not. One that ends here has lost a part, however regular its framing.
func (s *Stream) Due() bool { return (s.begun || s.seen != 0) && !s.Ended() }

// keep adds to the event under way. Of a larger one its beginning stays, where a server-sent event has its name.
func (s *Stream) keep(p []byte) {
	if room := maxEvent - len(s.held); len(p) > room {
		p, s.large = p[:room], true
	}
	s.held = append(s.held, p...)
}

func idle(b []byte) []byte {
	if cap(b) > maxIdle {
		return nil
	}
	return b[:0]
}

// choice notes that one of an answer's parallel choices (OpenAI's choices, Gemini's candidates) has begun, and whether
// it has ended. The answer is over once all that began have ended. One of too high a number is never said to end: the
// stream's last event has to tell.
func (s *Stream) choice(index int, finished bool) Event {
	bit := uint64(1) << min(uint(index), maxChoice-1) // a negative index, of what is no number, becomes a high one
	s.seen |= bit
	s.finished &^= bit
	if !finished {
		return Metadata
	}
	if bit < 1<<(maxChoice-1) {
		s.finished |= bit
	}
	return End
}

// goesOn reports whether data after output is surely but more of the first choice, after one look at its quotation marks:
// what a model says by the thousand is not taken apart. Within a string they are escaped, so that no text can pass for a
// key; a key in another form than these is left to the reader.
func (s *Stream) goesOn(data []byte, reason string) bool {
	if !s.output || s.seen != 1 || s.finished != 0 {
		return false
	}
	for i, c := range data {
		if c != '"' {
			continue
		}
		switch rest := data[i+1:]; {
		case len(rest) == 0:
		case rest[0] == 'e' && begins(rest, `error"`), rest[0] == 'b' && begins(rest, `blockReason"`):
			return false
		case rest[0] == 'f' && begins(rest, reason):
			if !begins(rest[len(reason):], ":null") {
				return false
			}
		case rest[0] == 'i' && begins(rest, `index"`):
			if rest = rest[len(`index"`):]; !begins(rest, ":0") && !begins(rest, ": 0") {
				return false
			}
		}
	}
	return true
}

func begins(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

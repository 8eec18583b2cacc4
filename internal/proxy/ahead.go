package proxy

import (
	"errors"
	"io"
	"sync"

	"github.com/ebbgate/ebbgate/internal/proxy/accept"
)

const aheadRoom = 16 << 10

var errLeft = errors.New("nobody reads the body any more")

// ahead reads a body in a goroutine of its own, so that whoever waits for more of it may leave, and another take the place.
// A body of HTTP/2 needs it where it may be sent again: a read that net/http has begun ends with the stream alone.
type ahead struct {
	src  io.Reader
	room []byte
	data []byte        // of room, not taken yet
	err  error         // of the last read, after data
	busy bool          // a read has begun, and what it brought is not taken
	came chan struct{} // a value once a read is over

	mu   sync.Mutex
	left chan struct{} // closed when the reader is to leave
}

func newAhead(src io.Reader) *ahead {
	return &ahead{src: src, room: make([]byte, aheadRoom), came: make(chan struct{}, 1), left: make(chan struct{})}
}

// Read has one caller at a time.
func (a *ahead) Read(p []byte) (int, error) {
	if !a.busy && len(a.data) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		a.busy = true
		go a.fill()
	}
	if a.busy { // data and err are fill's until it has come
		select {
		case <-a.came:
			a.busy = false
		case <-a.leaving():
			return 0, errLeft
		}
	}
	n := copy(p, a.data)
	if a.data = a.data[n:]; len(a.data) > 0 {
		return n, nil
	}
	return n, a.err
}

func (a *ahead) fill() {
	n, err := a.src.Read(a.room)
	a.data, a.err = a.room[:n], err
	a.came <- struct{}{}
}

func (a *ahead) leaving() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left
}

// leave has the reader leave, now or when it comes, until resume. Any goroutine may call it.
func (a *ahead) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.left:
	default:
		close(a.left)
	}
}

func (a *ahead) resume() {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.left:
		a.left = make(chan struct{})
	default:
	}
}

// end ends a read that nobody waits for, once the exchange is over: its goroutine must not outlive the stream.
func (a *ahead) end(c accept.Client) {
	if a.busy {
		c.StopReading()
		<-a.came
	}
}

package accept

import (
	"net"
	"sync"

	"github.com/ebbgate/ebbgate/internal/proxy/gather"
)

// aheadRoom is what is read at once, at most, where net/http asks for the nine bytes before a frame alone.
const aheadRoom = 1 << 10

// wire is a client's socket as TLS and net/http's server see it: what was read ahead comes first, of HTTP/2 it is counted what
// comes, and its end is told.
type wire struct {
	net.Conn
	peer   Peer
	socket *socket
	out    *gather.Conn // of HTTP/2, the Conn
	early  []byte       // read ahead, to find out which protocol it is, or with what was asked for
	ahead  []byte       // room to read ahead, where TLS does not; nil: it does
	pacing *pacing      // of HTTP/2; nil: not that
	gone   func()       // called once, by the first Close
	once   sync.Once
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.early) == 0 && len(p) < len(w.ahead) {
		n, err := w.read(w.ahead)
		if n == 0 {
			return 0, err
		}
		w.early = w.ahead[:n]
	}
	if len(w.early) == 0 {
		return w.read(p)
	}
	n := copy(p, w.early)
	if w.early = w.early[n:]; len(w.early) == 0 {
		w.early = nil
	}
	return n, nil
}

func (w *wire) read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if w.pacing != nil && n > 0 && !w.pacing.read(n) {
		w.cut()
		return 0, errFrames
	}
	return n, err
}

func (w *wire) Close() error {
	err := w.Conn.Close()
	w.once.Do(w.gone)
	return err
}

// cut ends a connection of HTTP/2 whose client is owed nothing, or that there is no time for: what waits to be written is lost.
func (w *wire) cut() { w.out.Cut() }

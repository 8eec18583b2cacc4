package accept

import (
	"net"
	"sync"
)

// wire is a client's socket as TLS and net/http's server see it: what was read ahead comes first, and its end is told.
type wire struct {
	*net.TCPConn
	peer  Peer
	early []byte // read ahead, to find out which protocol it is
	gone  func() // called once, by the first Close
	once  sync.Once
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.early) > 0 {
		n := copy(p, w.early)
		if w.early = w.early[n:]; len(w.early) == 0 {
			w.early = nil
		}
		return n, nil
	}
	return w.TCPConn.Read(p)
}

func (w *wire) Close() error {
	err := w.TCPConn.Close()
	w.once.Do(w.gone)
	return err
}

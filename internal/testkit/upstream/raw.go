package upstream

import (
	"crypto/tls"
	"net"
	"sync"
)

// raw is a far side that has each connection to itself, with no server of net/http above it.
type raw struct {
	*Record
	listener *recording
	ended    sync.WaitGroup
}

// open listens on a free port of 127.0.0.1; without a certificate connections stay plain.
func (r *raw) open(certificate tls.Certificate, alpn ...string) error {
	listener, err := listen(anyPort)
	if err != nil {
		return err
	}
	r.Record = newRecord(0)
	r.listener = &recording{Listener: listener, record: r.Record}
	if len(certificate.Certificate) > 0 {
		r.listener.settings = r.settings(func() *tls.Certificate { return &certificate }, alpn...)
	}
	return nil
}

// Addr is the host and port that it listens on.
func (r *raw) Addr() string { return r.listener.Addr().String() }

// Close stops listening, closes every connection and waits until nothing runs.
func (r *raw) Close() error {
	err := r.listener.Close()
	r.closeAll()
	r.ended.Wait()
	return err
}

// start gives each connection to fail, in a goroutine of its own, and closes it after that.
func (r *raw) start(fail func(*conn)) {
	r.ended.Go(func() {
		defer r.closeAll() // what was accepted while Close went over the list
		for {
			accepted, err := r.listener.Accept()
			if err != nil {
				return
			}
			if c, ok := accepted.(*conn); ok {
				r.ended.Go(func() {
					defer func() { _ = c.Close() }()
					fail(c)
				})
			}
		}
	})
}

// read reads until enough, which runs under the record's lock after each piece, or until the client is gone.
func (r *raw) read(c net.Conn, enough func() bool) bool {
	piece := make([]byte, 16<<10)
	for {
		if _, err := c.Read(piece); err != nil {
			return false
		}
		if locked(r.Record, enough) {
			return true
		}
	}
}

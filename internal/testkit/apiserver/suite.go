package apiserver

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// Suite shares one server among the tests of a package. It is started by the first test that asks for it, and stopped
// after the last: packages whose chosen tests need none pay nothing.
type Suite struct {
	Tests interface{ Run() int } // the *testing.M

	once   sync.Once
	server *Server
	err    error
}

// Run runs the tests, stops the server, and returns the exit code.
func (s *Suite) Run() int {
	code := s.Tests.Run()
	if s.server == nil {
		return code
	}
	if err := s.server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "close API server:", err)
		return max(code, 1)
	}
	return code
}

// Server is the server of all tests.
func (s *Suite) Server(t testing.TB) *Server {
	t.Helper()
	s.once.Do(func() { s.server, s.err = Start(t.Context()) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

package soak

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

// crowded is clients by the thousand that do little, and what they may come to.
type crowded struct {
	name  string
	most  int // clients; 0: as many as the flag says
	each  int // KiB of objects and stacks, at most, of each; what the kernel holds for them is its own
	large int // requests of each that the far side answers with much
	begin func(n int, c net.Conn) error
	// going is what goes on until the crowd has been looked at; it reports when that is.
	going func(t *testing.T, clients []net.Conn)
}

const slowHeads = "GET /far HTTP/1.1\r\nHost: h\r\nX-Slow: "

var crowds = []crowded{
	{"idle, once they were served", 0, 24, 0, func(_ int, c net.Conn) error { return get(c, "/far") }, nil},
	// Each of them is told to leave when it has taken ten seconds for a head.
	{"slow heads", 2000, 32, 0, func(_ int, c net.Conn) error { return say(c, slowHeads) }, func(t *testing.T, clients []net.Conn) {
		for _, c := range clients {
			go dribble(c)
		}
		for _, c := range clients {
			if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != http.StatusRequestTimeout {
				t.Fatal(res, err)
			}
		}
	}},
	{"slow bodies that are held", 2000, 48, 0, func(_ int, c net.Conn) error {
		return say(c, "POST /far HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\nx")
	}, nil},
	{"slow bodies that stream", 400, 160, 0, func(_ int, c net.Conn) error {
		return say(c, "POST /far/wait HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
	}, nil},
	{"never read", 100, 160, 1, func(_ int, c net.Conn) error {
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		return say(c, "GET /far/large HTTP/1.1\r\nHost: h\r\n\r\n")
	}, nil},
	{"never read, of HTTP/2 with 25 streams each", 4, 2400, 25, func(_ int, c net.Conn) error {
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		r, err := newDeaf(c)
		for n := 0; err == nil && n < 25; n++ {
			err = r.request(http.MethodGet, "/far/large", true)
		}
		return err
	}, nil},
}

func say(c net.Conn, text string) error {
	_, err := io.WriteString(c, text)
	return err
}

// get asks and takes the answer.
func get(c net.Conn, path string) error {
	if err := say(c, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s", res.Status)
	}
	return err
}

// dribble sends a byte now and then until nobody takes any more.
func dribble(c net.Conn) {
	for say(c, "x") == nil {
		time.Sleep(time.Second)
	}
}

// TestCrowds: what thousands of clients hold that do little is bounded for each of them, others are served meanwhile, and
// nothing is left of them.
func TestCrowds(t *testing.T) {
	t.Parallel()
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	far := &waiting{gate: make(chan struct{})}
	g := serve(t, plain, nil, backend("far", far.start(t), "HTTP11", "", "connections: {max: 5000}"))
	first, text := g.look(t), ""
	for _, k := range crowds {
		t.Run(k.name, func(t *testing.T) {
			g.look(t)
			before, asked := g.look(t), far.large.Load()
			n := k.most
			if n == 0 {
				n = min(*idle, int(files.Cur)-500)
			}
			clients := make([]net.Conn, 0, n)
			for i := range n {
				c := connect(t, g.address, i)
				defer c.Close()
				if err := k.begin(i, c); err != nil {
					t.Fatalf("client %d: %v", i, err)
				}
				clients = append(clients, c)
			}
			g.await(t, func() bool {
				return g.metric(t, "ebbgate_connections_downstream_active") == float64(n) && far.large.Load()-asked == int64(n*k.large)
			})
			with := g.look(t)
			each := (with.heap + with.stacks - before.heap - before.stacks) / n
			line := fmt.Sprintf("| %s | %d | %.1f KiB | %.1f | %s |\n", k.name, n, float64(each)/1024, float64(with.goroutines-before.goroutines)/float64(n), mib(with.resident))
			t.Log(line)
			text += line
			if each > k.each<<10 {
				t.Errorf("%d bytes of each are allowed", k.each<<10)
			}
			if err := get(connect(t, g.address, n), "/far"); err != nil {
				t.Errorf("another client: %v", err)
			}
			if k.going != nil {
				k.going(t, clients)
			}
		})
		g.await(t, func() bool { return g.metric(t, "go_goroutines") <= float64(first.goroutines+grace) })
	}
	close(far.gate)
	if *crowd != "" && !t.Failed() {
		if err := os.WriteFile(*crowd, []byte(crowdPage+text), 0o600); err != nil {
			t.Error(err)
		}
	}
}

const crowdPage = `# Crowds

What the command holds for clients that are many and do little, one crowd after the other: objects and stacks of each, after a collection, with its connection to the destination where it has one. The resident memory is all of
the process's; what Go's runtime has taken for one crowd it may still have in the next. What the kernel holds for connections is its own. A client beside them is answered meanwhile; when they have gone, no goroutine of theirs is left.

    make soak

| crowd | clients | each | goroutines each | resident |
|---|---:|---:|---:|---:|
`

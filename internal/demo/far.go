package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"strconv"

	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/provider"
)

// far is an emulated provider, which can be started again under its address once it is closed.
type far struct {
	*provider.Provider
	Name     string
	Hostname string
	Port     int
	config   provider.Config
}

// newFar starts a provider with a key and a certificate of its own.
func newFar(name string, port int, authority *ca.CA, ledger *provider.Ledger) (*far, error) {
	f := &far{Name: name, Hostname: name + ".demo.test", Port: port}
	certificate, err := authority.Issue(ca.Leaf{DNSNames: []string{f.Hostname}})
	if err != nil {
		return nil, err
	}
	f.config = provider.Config{
		Kind: provider.OpenAI, Key: "sk-demo-" + rand.Text(), Certificate: certificate, Ledger: ledger,
		Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
	}
	return f, f.start()
}

// start is for one that is closed. Its counters begin anew.
func (f *far) start() (err error) {
	f.Provider, err = provider.New(f.config)
	return err
}

// asked is how many requests arrived, whatever came of them.
func (f *far) asked() int64 { return f.Executions() + f.Rejections() }

// freePorts are ports of 127.0.0.1, each another, and none the one that is taken. They lie below those that systems give to outgoing connections, which
// might take the port of a provider that is dead for a while.
func freePorts(ctx context.Context, n, taken int) (ports []int, err error) {
	const most = 1000 // tries
	for tries := 0; len(ports) < n; tries++ {
		port := 20_000 + mathrand.IntN(12_000)
		if port == taken {
			continue
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			if tries == most {
				return nil, fmt.Errorf("find a free port: %w", err)
			}
			continue
		}
		defer func() { _ = l.Close() }() // once all are known, so that none is given twice
		ports = append(ports, port)
	}
	return ports, nil
}

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// What the upstream is called, for gRPC too, and the credential that the proxies write in place of the client's.
const (
	hostname = "api.upstream.test"
	callHost = "calls.upstream.test"
	key      = "sk-bench-0123456789abcdef0123456789abcdef"
)

//go:embed config
var configs embed.FS

// rig is all that a run needs: a scratch folder, the upstream and the proxies.
type rig struct {
	scratch   string
	tools     map[string]string // programs by name
	works     []work
	streams   int
	routes    int
	cores     []int // that we may use
	proxyCore int
	loadCore  int // of the load and the upstreams
	settings  settings
	events    *eventSource
	roots     *x509.CertPool
	processes []*process
	proxies   []*proxy
	direct    *proxy // no proxy: the events' upstream itself
	pinned    func() // undoes that this process is on the load's core
}

// newRig starts what o asks for. After an error nothing is left of it.
func newRig(ctx context.Context, o options, progress io.Writer) (*rig, error) {
	tools, err := find("taskset", "wrk", "h2load", nginx, haproxy)
	if err != nil {
		return nil, err
	}
	r := &rig{tools: tools, works: o.works, streams: o.streams, routes: o.routes}
	if err := r.chooseCores(); err != nil {
		return nil, err
	}
	if r.scratch, err = os.MkdirTemp("", "ebbgate-bench-"); err != nil {
		return nil, fmt.Errorf("make scratch folder: %w", err)
	}
	if err := r.start(ctx, o, progress); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *rig) start(ctx context.Context, o options, progress io.Writer) error {
	if slices.Contains(o.proxies, ebbgate) {
		if err := r.findEbbgate(ctx, o.ebbgate, progress); err != nil {
			return err
		}
	}
	if err := r.pin(ctx); err != nil {
		return err
	}
	if err := r.startUpstream(ctx); err != nil {
		return err
	}
	for _, name := range o.proxies {
		p, err := r.startProxy(ctx, name)
		if err != nil {
			return err
		}
		r.proxies = append(r.proxies, p)
	}
	return nil
}

// close ends all processes, the last started first, and removes the scratch folder.
func (r *rig) close() {
	for i := len(r.processes) - 1; i >= 0; i-- {
		r.processes[i].stop()
	}
	if r.events != nil {
		r.events.close()
	}
	if r.pinned != nil {
		r.pinned()
	}
	_ = os.RemoveAll(r.scratch) //nolint:gosec // the folder is our own; what cannot be removed is where the system keeps such things
}

// chooseCores gives the proxy a core of its own: the last one that we may use, which is no sibling of the first.
func (r *rig) chooseCores() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("read which cores may be used: %w", err)
	}
	r.cores, err = parseCores(string(status))
	if err != nil {
		return err
	}
	if len(r.cores) < 2 {
		return errors.New("two cores are needed: one for the proxy, one for load and upstream")
	}
	r.loadCore, r.proxyCore = r.cores[0], r.cores[len(r.cores)-1]
	return nil
}

// pin keeps this process, which sends and reads events itself, to the load's core, with one thread that runs Go.
func (r *rig) pin(ctx context.Context) error {
	move := func(ctx context.Context, cores ...int) error {
		list := strings.Trim(strings.ReplaceAll(fmt.Sprint(cores), " ", ","), "[]")
		text, err := exec.CommandContext(ctx, "taskset", "-a", "-c", "-p", list, strconv.Itoa(os.Getpid())).CombinedOutput() //nolint:gosec // numbers
		if err != nil {
			return fmt.Errorf("move to cores %s: %w: %s", list, err, strings.TrimSpace(string(text)))
		}
		return nil
	}
	threads := runtime.GOMAXPROCS(1)
	r.pinned = func() {
		runtime.GOMAXPROCS(threads)
		_ = move(context.WithoutCancel(ctx), r.cores...) // only tests live on
	}
	return move(ctx, r.loadCore)
}

// startUpstream writes certificates, answers and scripts, and starts what all proxies reach.
func (r *rig) startUpstream(ctx context.Context) error {
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return err
	}
	r.settings = settings{
		Scratch: r.scratch, Hostname: hostname, CallHost: callHost, Key: key, Root: os.Geteuid() == 0,
		Upstream: ports[0], Closing: ports[1], Calls: ports[2], Streams: idleTimes * r.streams, Others: others(r.routes),
	}
	certificate, err := r.certify()
	if err != nil {
		return err
	}
	if r.events, err = newEventSource(ctx, certificate); err != nil {
		return err
	}
	r.direct = &proxy{name: direct, entries: [entries]string{r.events.address, "", ""}}
	r.settings.Upstreams = map[string]int{"api": ports[0], "closing": ports[1], "calls": ports[2], "events": r.events.port}
	for _, w := range r.works {
		if err := w.publish(r.scratch); err != nil {
			return err
		}
	}
	config := filepath.Join(r.scratch, "upstream.conf")
	if err := render("upstream.conf", config, r.settings); err != nil {
		return err
	}
	upstream, err := start(ctx, r.scratch, "upstream", r.loadCore, nil, r.tools[nginx], "-p", r.scratch, "-e", r.scratch+"/upstream.err", "-c", config)
	if err != nil {
		return err
	}
	r.processes = append(r.processes, upstream)
	return upstream.await(ctx, func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", ports[0]))
		if err == nil {
			connection.Close()
		}
		return err
	})
}

// certify writes the upstream's certificate and key, which the proxies show to clients too, and the authority that all
// of them verify it with.
func (r *rig) certify() (tls.Certificate, error) {
	authority, err := ca.New("Ebbgate bench")
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := authority.Issue(ca.Leaf{DNSNames: []string{hostname, callHost}})
	if err != nil {
		return tls.Certificate{}, err
	}
	private, err := ca.KeyPEM(leaf)
	if err != nil {
		return tls.Certificate{}, err
	}
	chain := ca.CertificatePEM(leaf)
	r.roots = authority.Pool()
	r.settings.CA, r.settings.Certificate, r.settings.PrivateKey = string(authority.PEM()), string(chain), string(private)
	for name, text := range map[string][]byte{
		"ca.crt": authority.PEM(), "upstream.crt": chain, "upstream.key": private, "front.pem": slices.Concat(chain, private),
	} {
		if err := os.WriteFile(filepath.Join(r.scratch, name), text, 0o600); err != nil {
			return tls.Certificate{}, fmt.Errorf("write %s: %w", name, err)
		}
	}
	return leaf, nil
}

// findEbbgate takes the program that was named, or builds it from this module.
func (r *rig) findEbbgate(ctx context.Context, named string, progress io.Writer) error {
	if named != "" {
		r.tools[ebbgate] = named
		return nil
	}
	r.tools[ebbgate] = filepath.Join(r.scratch, "ebbgate")
	fmt.Fprintln(progress, "building ebbgate")
	build := exec.CommandContext(ctx, "go", "build", "-o", r.tools[ebbgate], "github.com/ebbgate/ebbgate/cmd/ebbgate") //nolint:gosec // the folder is this package's own
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build ebbgate: %w: %s", err, strings.TrimSpace(string(text)))
	}
	return nil
}

// render fills in one of the configurations and writes it to a file that nobody else can read.
func render(name, file string, data any) error {
	parsed, err := template.ParseFS(configs, "config/"+name)
	if err != nil {
		return fmt.Errorf("parse %s: %w", name, err)
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, data); err != nil {
		return fmt.Errorf("fill in %s: %w", name, err)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

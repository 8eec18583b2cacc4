package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// What the upstream is called, and the credential that the proxies write in place of the client's.
const (
	hostname = "api.upstream.test"
	key      = "sk-bench-0123456789abcdef0123456789abcdef"
)

//go:embed config
var configs embed.FS

// rig is all that a run needs: a scratch folder, the upstream and the proxies.
type rig struct {
	scratch   string
	tools     map[string]string // programs by name
	works     []work
	proxyCore int
	loadCore  int // of wrk and the upstream
	settings  settings
	processes []*process
	proxies   []*proxy
}

// newRig starts what o asks for. After an error nothing is left of it.
func newRig(ctx context.Context, o options, progress io.Writer) (*rig, error) {
	tools, err := find("taskset", "wrk", nginx, haproxy)
	if err != nil {
		return nil, err
	}
	r := &rig{tools: tools, works: o.works}
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
	if err := r.startUpstream(ctx); err != nil {
		return err
	}
	for _, name := range o.proxies {
		if name == ebbgate {
			if err := r.findEbbgate(ctx, o.ebbgate, progress); err != nil {
				return err
			}
		}
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
	_ = os.RemoveAll(r.scratch) //nolint:gosec // the folder is our own; what cannot be removed is where the system keeps such things
}

// chooseCores gives the proxy a core of its own: the last one that we may use, which is no sibling of the first.
func (r *rig) chooseCores() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("read which cores may be used: %w", err)
	}
	cores, err := parseCores(string(status))
	if err != nil {
		return err
	}
	if len(cores) < 2 {
		return errors.New("two cores are needed: one for the proxy, one for load and upstream")
	}
	r.loadCore, r.proxyCore = cores[0], cores[len(cores)-1]
	return nil
}

// startUpstream writes certificates, answers and scripts, and starts what all proxies reach.
func (r *rig) startUpstream(ctx context.Context) error {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return err
	}
	r.settings = settings{Scratch: r.scratch, Hostname: hostname, Key: key, Root: os.Geteuid() == 0, Upstream: ports[0]}
	if err := r.certify(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(r.scratch, "www", "v1"), 0o700); err != nil {
		return fmt.Errorf("make folder of answers: %w", err)
	}
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

// certify writes the upstream's certificate and key, and the authority that the proxies verify it with.
func (r *rig) certify() error {
	authority, err := ca.New("Ebbgate bench")
	if err != nil {
		return err
	}
	leaf, err := authority.Issue(ca.Leaf{DNSNames: []string{hostname}})
	if err != nil {
		return err
	}
	private, err := ca.KeyPEM(leaf)
	if err != nil {
		return err
	}
	r.settings.CA = string(authority.PEM())
	for name, text := range map[string][]byte{"ca.crt": authority.PEM(), "upstream.crt": ca.CertificatePEM(leaf), "upstream.key": private} {
		if err := os.WriteFile(filepath.Join(r.scratch, name), text, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
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

// ask sends a work's request for a path to a proxy and returns the answer's body.
func ask(ctx context.Context, client *http.Client, address string, w work, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, w.method, "http://"+address+path, bytes.NewReader(make([]byte, w.body)))
	if err != nil {
		return "", err
	}
	request.Host = hostname
	request.Header.Set("Authorization", "Bearer placeholder")
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s %s: status %d: %.300s", w.method, path, answer.StatusCode, body)
	}
	return string(body), nil
}

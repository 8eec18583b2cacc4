package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The proxies, as -only takes them.
const (
	ebbgate = "ebbgate"
	haproxy = "haproxy"
	nginx   = "nginx"
	direct  = "direct" // without a proxy, for comparison
)

// proxyNames are all proxies, in the order in which a round measures and the table shows them.
func proxyNames() []string { return []string{ebbgate, haproxy, nginx} }

// proxy is one of the programs that are compared, running.
type proxy struct {
	name    string
	version string
	process *process
	entries [entries]string // addresses where it takes requests
	admin   string          // Ebbgate's, where profiles are
	log     string          // its access log
	audit   string          // Ebbgate's audit log, which it always keeps
}

// settings are what the configurations are filled in with.
type settings struct {
	Scratch, Hostname, CallHost, Key, CA, Log string
	Certificate, PrivateKey                   string // of the proxies, for clients
	Root                                      bool   // nginx's workers would run as somebody who cannot read the scratch folder
	Port, Secure, Prior                       int    // where a proxy takes requests
	Upstream, Closing, Calls                  int
	Upstreams                                 map[string]int // by name, also those that are not nginx's
	Streams                                   int            // at most
	Others                                    [][]string     // paths of further routes, as many as one HTTPRoute takes at a time
}

// others are the paths of so many routes.
func others(routes int) (groups [][]string) {
	const most = 16 // rules of an HTTPRoute
	for i := range routes {
		if i%most == 0 {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], fmt.Sprintf("/v%d/x", i+2))
	}
	return groups
}

// Host is what an upstream is called.
func (settings) Host(upstream string) string {
	if upstream == "calls" {
		return callHost
	}
	return hostname
}

// Connections are what a proxy must take from clients; Files are those, as many to the upstream, and some.
func (s settings) Connections() int { return s.Streams + 400 }

// Files: see Connections.
func (s settings) Files() int { return 2*s.Connections() + 200 }

// startProxy starts one of the proxies and returns once it does the whole work.
func (r *rig) startProxy(ctx context.Context, name string) (*proxy, error) {
	ports, err := freePorts(ctx, 5)
	if err != nil {
		return nil, err
	}
	set := r.settings
	set.Port, set.Secure, set.Prior = ports[0], ports[1], ports[2]
	set.Log = filepath.Join(r.scratch, name+".log")
	p := &proxy{name: name, log: set.Log}
	for e := range p.entries {
		p.entries[e] = fmt.Sprintf("127.0.0.1:%d", ports[e])
	}
	switch name {
	case nginx:
		err = r.startNginx(ctx, p, set)
	case haproxy:
		err = r.startHAProxy(ctx, p, set)
	default:
		err = r.startEbbgate(ctx, p, set, ports[3], ports[4])
	}
	if err != nil {
		return nil, err
	}
	r.processes = append(r.processes, p.process)
	return p, p.process.await(ctx, func(ctx context.Context) error { return r.check(ctx, p) })
}

func (r *rig) startNginx(ctx context.Context, p *proxy, set settings) error {
	config := filepath.Join(r.scratch, "nginx.conf")
	if err := render("nginx.conf", config, set); err != nil {
		return err
	}
	p.version = version(ctx, r.tools[nginx], "-v")
	var err error
	p.process, err = start(ctx, r.scratch, "nginx-proxy", r.proxyCore, nil, r.tools[nginx], "-p", r.scratch, "-e", r.scratch+"/nginx.err", "-c", config)
	return err
}

func (r *rig) startHAProxy(ctx context.Context, p *proxy, set settings) error {
	if err := render("haproxy.map", filepath.Join(r.scratch, "haproxy.map"), set); err != nil {
		return err
	}
	config := filepath.Join(r.scratch, "haproxy.cfg")
	if err := render("haproxy.cfg", config, set); err != nil {
		return err
	}
	p.version = version(ctx, r.tools[haproxy], "-v")
	var err error
	p.process, err = start(ctx, r.scratch, haproxy, r.proxyCore, nil, r.tools[haproxy], "-f", config)
	return err
}

func (r *rig) startEbbgate(ctx context.Context, p *proxy, set settings, admin, health int) error {
	folder := filepath.Join(r.scratch, "ebbgate.d")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("make configuration folder: %w", err)
	}
	if err := render("ebbgate.yaml", filepath.Join(folder, "bench.yaml"), set); err != nil {
		return err
	}
	p.version = version(ctx, r.tools[ebbgate], "version")
	p.admin = fmt.Sprintf("127.0.0.1:%d", admin)
	p.audit = filepath.Join(r.scratch, "ebbgate.audit")
	var err error
	p.process, err = start(ctx, r.scratch, ebbgate, r.proxyCore, []string{"GOMAXPROCS=1"}, r.tools[ebbgate], "run", "-f", folder,
		"--admin", p.admin, "--health", fmt.Sprintf("127.0.0.1:%d", health), "--pprof", "--audit-log", p.audit)
	return err
}

// find looks programs up, in the folders of administrators too, which users' PATH may lack.
func find(programs ...string) (map[string]string, error) {
	found := map[string]string{}
	var missing []string
	for _, name := range programs {
		candidates := []string{name, "/usr/local/sbin/" + name, "/usr/sbin/" + name, "/sbin/" + name}
		i := slices.IndexFunc(candidates, func(candidate string) bool {
			location, err := exec.LookPath(candidate)
			found[name] = location
			return err == nil
		})
		if i < 0 {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("not installed: %s; apt-get install nginx haproxy wrk nghttp2-client util-linux has all of it", strings.Join(missing, ", "))
	}
	return found, nil
}

// version is the version number that a program tells, or nothing where it tells none.
func version(ctx context.Context, program, flag string) string {
	text, _ := exec.CommandContext(ctx, program, flag).CombinedOutput() //nolint:gosec // the programs are this package's own
	return string(regexp.MustCompile(`\d+\.\d+(\.\d+)?`).Find(text))
}

package chain_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// rig is a child, its parent of another make, and a destination behind that.
type rig struct {
	t      *testing.T
	folder string
	root   *ca.CA
	far    *upstream.Upstream
	secure bool // the destination has TLS
	hub    int  // the parent's port
	child  string
	log    *command.Process
}

func newRig(t *testing.T, secure bool) *rig {
	t.Helper()
	r := &rig{t: t, folder: t.TempDir(), root: testkit.CA(t, "root"), secure: secure}
	config := upstream.Config{Handler: upstream.Body(10)}
	if secure {
		config.Certificate = testkit.Loopback(t, r.root, "api.vendor.test")
	}
	r.far = testkit.Upstream(t, config)
	pair := testkit.Loopback(t, r.root, "hub.test")
	key, err := ca.KeyPEM(pair)
	check(t, err)
	r.write("hub.pem", string(ca.CertificatePEM(pair))+string(key))
	ports := testkit.Ports(t, 2) // after the destination has its own, which might take these
	r.hub, r.child = ports[0], fmt.Sprintf("127.0.0.1:%d", ports[1])
	return r
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) write(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.folder, name)
	check(r.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (r *rig) farPort() string {
	_, port, err := net.SplitHostPort(r.far.Addr())
	check(r.t, err)
	return port
}

// documented is the configuration that the documentation shows in a language, with this machine's ports and files.
func (r *rig) documented(language string) string {
	r.t.Helper()
	page, err := os.ReadFile("../../docs/parent-mode.md")
	check(r.t, err)
	blocks := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 1 {
		r.t.Fatalf("the page has %d blocks of %s", len(blocks), language)
	}
	hub := strconv.Itoa(r.hub)
	text := strings.NewReplacer(
		"listen 8443", "listen 127.0.0.1:"+hub, "bind :8443", "bind 127.0.0.1:"+hub, "http_port 3128", "http_port 127.0.0.1:"+hub,
		"127.0.0.1:9000", "127.0.0.1:"+r.farPort(), "/etc/hub.pem", filepath.Join(r.folder, "hub.pem"),
	).Replace(blocks[0][1])
	if !strings.Contains(text, "127.0.0.1:"+hub) {
		r.t.Fatalf("the page's %s listens elsewhere than it did", language)
	}
	return text
}

// system is the path of a program that Debian has where the PATH of most users does not lead.
func system(t *testing.T, name string) string {
	t.Helper()
	if path := "/usr/sbin/" + name; exists(path) {
		return path
	}
	return command.Need(t, name, "install it (Debian: apt-get install "+name+")")
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// serve starts the child. Its only way out is the parent.
func (r *rig) serve(form, protocol string, hubTLS bool) {
	r.t.Helper()
	trusted := func(host string, on bool) string {
		if !on {
			return "{mode: None}"
		}
		return "{validation: {hostname: " + host + ", caCertificateRefs: [{kind: Secret, name: root}]}}"
	}
	text, err := os.ReadFile("testdata/child.yaml")
	check(r.t, err)
	_, port, err := net.SplitHostPort(r.child)
	check(r.t, err)
	values := map[string]string{
		"HTTP": port, "HUB": strconv.Itoa(r.hub), "FAR": r.farPort(), "FORM": form, "PROTOCOL": protocol, "VENDOR": "api.vendor.test",
		"ROOT": base64.StdEncoding.EncodeToString(r.root.PEM()), "HUBTLS": trusted("hub.test", hubTLS), "FARTLS": trusted("api.vendor.test", r.secure),
	}
	folder := filepath.Join(r.folder, "child")
	check(r.t, os.Mkdir(folder, 0o700))
	r.write("child/child.yaml", os.Expand(string(text), func(name string) string {
		if values[name] == "" {
			r.t.Errorf("testdata has ${%s}, which is unknown", name)
		}
		return values[name]
	}))
	r.log = command.Start(r.t, os.Getenv(binary), nil, "run", "-f", folder, "--admin=", "--health=")
	r.log.Await(r.t, "serving on ", r.child)
}

// asks sends a request to the child.
func (r *rig) asks(want int) string {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.child+"/chat/x?a=1", strings.NewReader("hello"))
	check(r.t, err)
	req.Host = "api.vendor.test"
	req.Header.Set("Ebbgate-Hop", "forged")
	req.Header.Set("Via", "1.1 before")
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	check(r.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	check(r.t, err)
	if res.StatusCode != want {
		r.t.Fatalf("%s %s, want %d", res.Status, body, want)
	}
	return string(body)
}

// arrived is the only request that the destination got.
func (r *rig) arrived(host, credential, via string) {
	r.t.Helper()
	got := r.far.Requests()
	if len(got) != 1 {
		r.t.Fatalf("%d requests arrived", len(got))
	}
	seen := got[0]
	if seen.Target != "/v1/chat/x?a=1" || seen.Host != host || string(seen.Body) != "hello" {
		r.t.Errorf("%s of %s arrived, with %q", seen.Target, seen.Host, seen.Body)
	}
	for name, want := range map[string]string{"Authorization": credential, "Via": via, "Ebbgate-Hop": "", "X-Forwarded-For": ""} {
		if got := strings.Join(seen.Values(name), ", "); got != want {
			r.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	r.log.Out.Await(r.t, `"parent":"Backend/ai/hub"`, 1)
}

func TestNginx(t *testing.T) {
	r := newRig(t, false)
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	config := r.write("nginx.conf", fmt.Sprintf(`daemon off; %s worker_processes 1; pid %[2]s/nginx.pid; error_log stderr notice;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %[2]s/tmp; proxy_temp_path %[2]s/tmp; fastcgi_temp_path %[2]s/tmp; uwsgi_temp_path %[2]s/tmp; scgi_temp_path %[2]s/tmp;
%[3]s}
`, user, r.folder, r.documented("nginx")))
	command.Start(t, system(t, "nginx"), nil, "-p", r.folder, "-e", "stderr", "-c", config).Await(t, "start worker process ")
	r.serve("Origin", "HTTP", true)
	r.asks(http.StatusOK)
	r.arrived("api.vendor.test", "Bearer of-the-hub", "1.1 before, 1.1 child")
}

func TestHAProxy(t *testing.T) {
	for _, protocol := range []string{"HTTP11", "HTTP2"} {
		t.Run(protocol, func(t *testing.T) {
			r := newRig(t, false)
			config := r.write("haproxy.cfg", "global\n  maxconn 64\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"+r.documented("haproxy"))
			command.Start(t, system(t, "haproxy"), nil, "-W", "-db", "-f", config).Await(t, "Loading success")
			r.serve("Origin", protocol, true)
			r.asks(http.StatusOK)
			r.arrived("api.vendor.test", "Bearer of-the-hub", "1.1 before, 1.1 child")
		})
	}
}

// squid starts Squid, which resolves the destination's name.
func (r *rig) squid() *command.Process {
	r.t.Helper()
	hosts := r.write("hosts", "127.0.0.1 api.vendor.test\n")
	for path, mode := range map[string]os.FileMode{filepath.Dir(r.folder): 0o711, r.folder: 0o711, hosts: 0o644} {
		check(r.t, os.Chmod(path, mode)) // Squid leaves root, and reads it as another
	}
	config := r.write("squid.conf", r.documented("squid")+fmt.Sprintf(`
hosts_file %s
visible_hostname squid.test
pid_filename none
access_log none
cache_log /dev/null
netdb_filename none
pinger_enable off
coredump_dir none
shutdown_lifetime 0 seconds
`, hosts))
	p := command.Start(r.t, system(r.t, "squid"), nil, "-N", "-d", "1", "-f", config)
	p.Await(r.t, "Accepting HTTP Socket connections")
	return p
}

func TestSquidAbsolute(t *testing.T) {
	r := newRig(t, false)
	r.squid()
	r.serve("Absolute", "HTTP11", false)
	r.asks(http.StatusOK)
	seen := strings.Join(r.far.Requests()[0].Values("Via"), ", ")
	if !strings.HasPrefix(seen, "1.1 before, 1.1 child, 1.1 squid.test ") {
		t.Errorf("Via is %q", seen)
	}
	r.arrived("api.vendor.test:"+r.farPort(), "Bearer of-the-child", seen)
}

func TestSquidConnect(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure %t", secure), func(t *testing.T) {
			r := newRig(t, secure)
			r.squid()
			r.serve("Connect", "HTTP11", false)
			r.asks(http.StatusOK)
			r.arrived("api.vendor.test:"+r.farPort(), "Bearer of-the-child", "1.1 before, 1.1 child")
		})
	}
}

// TestSquidRefuses: a parent that opens no tunnel has not been reached, and the log says what it answered.
func TestSquidRefuses(t *testing.T) {
	r := newRig(t, true)
	r.squid()
	r.serve("Connect", "HTTP11", false)
	check(t, r.far.Close())
	if body := r.asks(http.StatusBadGateway); !strings.Contains(body, `"reason":"connect_failed"`) {
		t.Errorf("refused: %s", body)
	}
	r.log.Out.Await(t, "Backend/ai/hub answered 503 Service Unavailable", 1)
	r.log.Out.Await(t, `"class":"Unsent"`, 1)
}

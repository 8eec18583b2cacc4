package attacks

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"text/template"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// target is a far side, and the record of what came to it, or to who is behind it.
type target struct {
	far
	name string
	seen *upstream.Upstream
}

// targets starts net/http, nginx and HAProxy, each once for HTTP/1.1 and once for HTTP/2 by prior knowledge. Their hosts are
// of one length, so that an attack can count on it.
func targets(t *testing.T) []target {
	t.Helper()
	behind := func() *upstream.Upstream { return testkit.Upstream(t, upstream.Config{Handler: own()}) }
	var clear http.Protocols
	clear.SetUnencryptedHTTP2(true)
	list := []target{
		{name: "net/http", seen: behind()},
		{name: "net/http, HTTP/2", seen: testkit.Upstream(t, upstream.Config{Handler: own(), Protocols: clear})},
		{name: "nginx", seen: behind()}, {name: "nginx, HTTP/2", seen: behind()},
		{name: "HAProxy", seen: behind()}, {name: "HAProxy, HTTP/2", seen: behind()},
	}
	ports := testkit.Ports(t, 4) // after the servers behind have theirs, which might take these
	for i := range list {
		list[i].host = fmt.Sprintf("f%d.test", i)
		list[i].protocol = [...]plan.Protocol{plan.HTTP11, plan.HTTP2}[i%2]
		list[i].address = list[i].seen.Addr()
		if i >= 2 {
			list[i].address = fmt.Sprintf("127.0.0.1:%d", ports[i-2])
		}
	}
	folder := t.TempDir()
	values := map[string]any{
		"Root": os.Getuid() == 0, "Folder": folder, "Nginx": list[2].address, "NginxClear": list[3].address, "HAProxy": list[4].address, "HAProxyClear": list[5].address,
		"BehindNginx": list[2].seen.Addr(), "BehindNginxClear": list[3].seen.Addr(), "BehindHAProxy": list[4].seen.Addr(), "BehindHAProxyClear": list[5].seen.Addr(),
	}
	check(t, os.Mkdir(filepath.Join(folder, "tmp"), 0o700))
	command.Start(t, system(t, "nginx"), nil, "-p", folder, "-e", "stderr", "-c", render(t, folder, "nginx.conf", values)).Await(t, "start worker process ")
	command.Start(t, system(t, "haproxy"), nil, "-W", "-db", "-f", render(t, folder, "haproxy.cfg", values)).Await(t, "Loading success")
	return list
}

func render(t *testing.T, folder, name string, values any) (path string) {
	t.Helper()
	parsed, err := template.New(name).Option("missingkey=error").ParseFiles(filepath.Join("testdata", name))
	check(t, err)
	var out bytes.Buffer
	check(t, parsed.Execute(&out, values))
	path = filepath.Join(folder, name)
	check(t, os.WriteFile(path, out.Bytes(), 0o600))
	return path
}

// system is the path of a program that Debian has where the PATH of most users does not lead.
func system(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath("/usr/sbin/" + name); err == nil {
		return path
	}
	return command.Need(t, name, "install it (Debian: apt-get install "+name+")")
}

// own answers each request with what only it can have asked for.
func own() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // no answer to half a request
		}
		_, _ = io.WriteString(w, said(r.Method, r.RequestURI, string(body)))
	})
}

func said(method, target, body string) string { return fmt.Sprintf("%s %s %q", method, target, body) }

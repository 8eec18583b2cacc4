package demo

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source/file"
	"github.com/ebbgate/ebbgate/internal/standalone"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/provider"
)

//go:embed folder
var folder embed.FS

// start brings up the providers, and a gateway before them.
func start(ctx context.Context, c Config) (_ *demo, err error) {
	d := &demo{Config: c, ledger: &provider.Ledger{}, quit: ctx.Done(), problems: make(chan []problem.Problem, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start demo: %w", err), d.close())
		}
	}()
	ports, err := freePorts(ctx, 3, c.Port)
	if err != nil {
		return nil, err
	}
	if d.Port == 0 {
		d.Port = ports[0]
	}
	if d.authority, err = ca.New("Ebbgate demo"); err != nil {
		return nil, err
	}
	if d.primary, err = newFar("primary", ports[1], d.authority, d.ledger); err != nil {
		return nil, err
	}
	if d.secondary, err = newFar("secondary", ports[2], d.authority, d.ledger); err != nil {
		return nil, err
	}
	if err := d.lay(); err != nil {
		return nil, err
	}
	d.client = d.newClient()
	return d, d.serve(ctx)
}

// close ends all of it, the client first, so that the gateway has nothing to wait for.
func (d *demo) close() error {
	var errs []error
	if d.client != nil {
		d.client.CloseIdleConnections()
	}
	if d.stop != nil {
		d.stop()
		errs = append(errs, <-d.ended)
	}
	for _, f := range []*far{d.primary, d.secondary} {
		if f != nil && f.Provider != nil {
			errs = append(errs, f.Close())
		}
	}
	if d.folder != "" {
		errs = append(errs, os.RemoveAll(d.folder))
	}
	return errors.Join(errs...)
}

func (d *demo) config() string { return filepath.Join(d.folder, "config") }

// lay writes the folder: the YAML, and the keys beside it as mounts lay them.
func (d *demo) lay() (err error) {
	if d.folder, err = os.MkdirTemp("", "ebbgate-demo-"); err != nil { // of 0700
		return err
	}
	for _, f := range []*far{d.primary, d.secondary} {
		secret := filepath.Join(d.folder, "secrets", "ai", f.Name+"-key")
		if err := os.MkdirAll(secret, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(secret, "token"), []byte(f.config.Key), 0o600); err != nil {
			return err
		}
	}
	if err := os.Mkdir(d.config(), 0o700); err != nil {
		return err
	}
	pages, err := template.ParseFS(folder, "folder/*.yaml")
	if err != nil {
		return err
	}
	for _, page := range pages.Templates() {
		var text bytes.Buffer
		if err := page.Execute(&text, struct {
			Port      int
			Root      string
			Providers []*far
		}{d.Port, string(d.authority.PEM()), []*far{d.primary, d.secondary}}); err != nil {
			return err
		}
		if err := d.write(page.Name(), text.String()); err != nil {
			return err
		}
	}
	return nil
}

// write has a file appear whole or not at all.
func (d *demo) write(name, text string) error {
	hidden := filepath.Join(d.config(), "."+name+".new")
	if err := os.WriteFile(hidden, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(hidden, filepath.Join(d.config(), name))
}

func (d *demo) read(name string) (string, error) {
	text, err := fs.ReadFile(os.DirFS(d.config()), name)
	return string(text), err
}

// edit has one place of a file be something else, and shows both as a diff does.
func (d *demo) edit(name, from, to string) error {
	text, err := d.read(name)
	if err != nil {
		return err
	}
	changed := strings.Replace(text, from, to, 1)
	if changed == text {
		return fmt.Errorf("edit %s: %q is not there", name, from)
	}
	d.say("%s\n - %s\n + %s", name, from, to)
	select {
	case <-d.problems: // of what was written before
	default:
	}
	return d.write(name, changed)
}

// serve runs the gateway as `ebbgate run -f` does, and returns once it serves.
func (d *demo) serve(ctx context.Context) error {
	source, err := file.New(file.Config{
		Paths: []string{d.config()}, SecretsDir: filepath.Join(d.folder, "secrets"), Schema: schema.New(),
	})
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // close ends it, in its turn
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- standalone.Run(serving, standalone.Config{
			Source: source, Logger: slog.New(slog.DiscardHandler), Audit: io.Discard, Drain: 5 * time.Second,
			Problems: d.told, Ready: func([]string) { close(ready) },
		})
	}()
	select {
	case <-ready:
		d.stop, d.ended = stop, ended
		return wrong(<-d.problems)
	case err := <-ended:
		stop()
		if errors.Is(err, standalone.ErrInvalid) {
			return wrong(<-d.problems)
		}
		return err
	}
}

// wrong is the first of the problems that the demo's own YAML has; it should have none. The file is soon gone.
func wrong(list []problem.Problem) error {
	if len(list) == 0 {
		return nil
	}
	p := list[0]
	p.File = ""
	return errors.New(p.String())
}

// told keeps the problems of the newest configuration alone.
func (d *demo) told(list []problem.Problem) {
	select {
	case <-d.problems:
	default:
	}
	d.problems <- list
}

// verdict waits for what the gateway says of an edit that was just made.
func (d *demo) verdict(ctx context.Context) ([]problem.Problem, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case list := <-d.problems:
		return list, nil
	case <-ctx.Done():
		return nil, errors.New("the gateway said nothing of the edited YAML")
	}
}

// newClient asks the gateway alone, whatever address localhost has and whatever proxies the environment names.
func (d *demo) newClient() *http.Client {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(d.Port))
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		MaxIdleConnsPerHost: clients + 1,
	}}
}

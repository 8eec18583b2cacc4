// Package apiserver runs a real API server with its etcd for a package's tests: with RBAC, tokens of ServiceAccounts,
// the admission plugins that are on by default, and the CRDs of deploy/crds and of Gateway API's experimental channel.
//
// No controller and no node run beside it: nobody empties a deleted namespace, collects garbage or makes Endpoints, and no
// Pod starts. It builds nothing either: `test/cluster/cluster.sh control-plane`, which `make test` calls, has built the two
// commands. Tests of what reads from and writes to Kubernetes call it.
//
//	var suite apiserver.Suite
//
//	func TestMain(m *testing.M) { suite.Tests = m; goleak.VerifyTestMain(&suite) }
//
//	func TestIt(t *testing.T) {
//		server := suite.Server(t)
//		namespace := server.Namespace(t)
//		admin, err := dynamic.NewForConfig(server.Admin())
//		controller, err := dynamic.NewForConfig(server.ServiceAccount(t, namespace, "controller"))
//		…
//	}
package apiserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

const (
	patience = 2 * time.Minute // for a start, which takes seconds: the machine may be busy
	pause    = 20 * time.Millisecond
)

// Server is a running API server. Several tests may use it at once, each in its own Namespace.
type Server struct {
	admin     *rest.Config
	folder    string // certificates, data and logs
	port      int    // a socket that keeps the port ours
	processes []*process
}

// Start starts an API server and returns once it serves all kinds.
func Start(ctx context.Context) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s := &Server{port: -1}
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("start API server: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	if s.folder, err = os.MkdirTemp("", "ebbgate-apiserver-"); err != nil {
		return err
	}
	address, err := s.reserve()
	if err != nil {
		return err
	}
	if err := s.certify(address); err != nil {
		return err
	}
	if err := s.launch(filepath.Join(bin, "etcd"), s.etcd()...); err != nil {
		return err
	}
	if err := s.launch(filepath.Join(bin, "kube-apiserver"), s.apiserver(address)...); err != nil {
		return err
	}
	definitions, err := readDefinitions(ctx) // meanwhile
	if err != nil {
		return err
	}
	if err := s.await(ctx, s.ready); err != nil {
		return err
	}
	return s.install(ctx, definitions)
}

// binaries is the folder of what `cluster.sh control-plane` built.
func binaries() (string, error) {
	state := os.Getenv("KUBE_STATE")
	if state == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", err
			}
			cache = filepath.Join(home, ".cache")
		}
		state = filepath.Join(cache, "ebbgate", "kube")
	}
	bin := filepath.Join(state, "bin")
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return "", fmt.Errorf("%w: run test/cluster/cluster.sh control-plane, or make test, which does", err)
		}
	}
	return bin, nil
}

// reserve takes a free port. A bound socket that does not listen gets no connections, and keeps the system from giving
// the port to others; the API server binds it too (SO_REUSEPORT).
func (s *Server) reserve() (string, error) {
	var err error
	if s.port, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return "", fmt.Errorf("reserve port: %w", err)
	}
	if err := unix.SetsockoptInt(s.port, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return "", fmt.Errorf("reserve port: %w", err)
	}
	if err := unix.Bind(s.port, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", fmt.Errorf("reserve port: %w", err)
	}
	bound, err := unix.Getsockname(s.port)
	if err != nil {
		return "", fmt.Errorf("reserve port: %w", err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*unix.SockaddrInet4).Port)), nil
}

// certify writes what the API server reads: its certificate, the key that signs tokens of ServiceAccounts, and the
// administrator's token.
func (s *Server) certify(address string) error {
	authority, err := ca.New("apiserver")
	if err != nil {
		return err
	}
	for _, name := range []string{"tls", "accounts"} {
		certificate, err := authority.Issue(ca.Leaf{CommonName: name, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
		if err != nil {
			return err
		}
		key, err := ca.KeyPEM(certificate)
		if err != nil {
			return err
		}
		if err := errors.Join(s.write(name+".crt", ca.CertificatePEM(certificate)), s.write(name+".key", key)); err != nil {
			return err
		}
	}
	token := rand.Text()
	s.admin = &rest.Config{
		Host: "https://" + address, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: authority.PEM()},
		QPS: -1, // no limit: there is nobody else to be kind to
	}
	return s.write("tokens.csv", []byte(token+",admin,admin,system:masters\n"))
}

func (s *Server) write(name string, data []byte) error {
	return os.WriteFile(s.path(name), data, 0o600)
}

func (s *Server) path(name string) string { return filepath.Join(s.folder, name) }

func (s *Server) socket() string { return "unix://" + s.path("etcd.sock") }

// etcd listens on sockets alone, though it wants to be told of ports, and writes nothing through to the disk: what it
// holds may be lost.
func (s *Server) etcd() []string {
	const nowhere = "http://127.0.0.1:1"
	return []string{
		"--data-dir=" + s.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=" + s.socket(), "--advertise-client-urls=" + nowhere,
		"--listen-peer-urls=unix://", "--initial-advertise-peer-urls=" + nowhere,
		"--name=etcd", "--initial-cluster=etcd=" + nowhere,
	}
}

func (s *Server) apiserver(address string) []string {
	host, port, _ := net.SplitHostPort(address)
	return []string{
		"--etcd-servers=" + s.socket(),
		"--bind-address=" + host, "--advertise-address=" + host, "--secure-port=" + port, "--permit-port-sharing",
		"--tls-cert-file=" + s.path("tls.crt"), "--tls-private-key-file=" + s.path("tls.key"), "--cert-dir=" + s.folder,
		"--token-auth-file=" + s.path("tokens.csv"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + s.path("accounts.crt"), "--service-account-signing-key-file=" + s.path("accounts.key"),
		"--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged",
		"--endpoint-reconciler-type=none", // it would refuse to name a loopback address
	}
}

func (s *Server) launch(command string, args ...string) error {
	p, err := launch(s.path(filepath.Base(command)+".log"), command, args...)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	return nil
}

// await asks until it is so, and gives up where a process ends or the time is over.
func (s *Server) await(ctx context.Context, so func(context.Context) error) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		err := so(ctx)
		if err == nil {
			return nil
		}
		for _, p := range s.processes {
			if p.ended() {
				return errors.Join(err, p.failure())
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

func (s *Server) ready(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(s.admin)
	if err != nil {
		return err
	}
	return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// Close ends both processes and removes what they wrote. It fails where one had ended by itself.
func (s *Server) Close() error {
	var errs []error
	for i := len(s.processes) - 1; i >= 0; i-- { // the API server before its etcd
		errs = append(errs, s.processes[i].end())
	}
	if s.port >= 0 {
		errs = append(errs, unix.Close(s.port))
	}
	return errors.Join(append(errs, os.RemoveAll(s.folder))...)
}

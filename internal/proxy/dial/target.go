package dial

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

const turnMask = 1<<30 - 1

// TargetConfig is one backend as one rule reaches it.
type TargetConfig struct {
	Gateway    string
	Backend    *plan.Backend
	Hostname   string        // name dialled, lower case; "*.suffix" for a wildcard (see Target.Host); empty for bare addresses
	Port       int           // zero: the backend's
	Protocol   plan.Protocol // spoken; empty: the backend's
	TLS        *TLS          // nil: plain
	ServerName string        // SNI and verified name where TLS states none; empty: Hostname
	Settings   *policy.Settings
	Address    []policy.AddressStage
	Handshake  []policy.HandshakeStage
	Health     Health  // of the backend's addresses; nil: none is told, and all are taken for well
	Through    *Target // a parent that opens tunnels to Hostname and Port, whose addresses are dialled; nil: none
}

// Target is a prepared destination. Its pool is shared with every target of the same Gateway, backend, name, port and
// TLS setting, also across rebuilds of the table.
type Target struct {
	TargetConfig
	dialer   *Dialer
	pool     *pool
	fixed    []netip.AddrPort // the addresses of a backend that is not resolved
	pods     []netip.Addr     // those among them that are known Pods', sorted
	wild     bool
	root     *Target // whom the stages belong to: the one that was prepared
	hop      string  // what the parent is told with the wish for a tunnel
	released atomic.Bool
}

// Prepare makes a target and holds its pool until Release. A table prepares its targets before it is swapped in and
// releases those of the table it replaces afterwards, so that pools both use live on and the others are closed at once.
func (d *Dialer) Prepare(c TargetConfig) (*Target, error) {
	if c.Backend == nil || c.Settings == nil {
		return nil, errors.New("prepare target: no backend or no settings")
	}
	if c.Port == 0 {
		c.Port = c.Backend.Port
	}
	if c.Protocol == "" {
		c.Protocol = c.Backend.Protocol
	}
	if c.Port < 1 || c.Port > 65535 {
		return nil, fmt.Errorf("prepare target %s: port %d is none", c.Backend.Name, c.Port)
	}
	if strings.Contains(c.ServerName, "*") {
		return nil, fmt.Errorf("prepare target %s: server name %q is no name to verify", c.Backend.Name, c.ServerName)
	}
	t := &Target{TargetConfig: c, dialer: d, wild: strings.HasPrefix(c.Hostname, "*.")}
	t.root = t
	if err := t.setAddresses(); err != nil {
		return nil, err
	}
	name := t.serverName()
	if c.TLS != nil && name == "" && len(c.TLS.sans) == 0 {
		return nil, fmt.Errorf("prepare target %s: TLS has no name to verify", c.Backend.Name)
	}
	key := poolKey{
		gateway: c.Gateway, backend: c.Backend.Name, hostname: c.Hostname, port: c.Port, protocol: c.Protocol, serverName: name, tls: c.TLS.Key(),
	}
	if c.Through != nil {
		key.through = c.Through.pool
	}
	t.pool = d.hold(key, c.TLS)
	t.pool.room.set(c.Settings.Connections)
	return t, nil
}

func (t *Target) setAddresses() error {
	if t.Backend.Origin == plan.Resolved || t.Through != nil {
		if t.Hostname == "" {
			return fmt.Errorf("prepare target %s: no name to resolve", t.Backend.Name)
		}
		return nil
	}
	if t.wild {
		return fmt.Errorf("prepare target %s: a wildcard has no addresses of its own", t.Backend.Name)
	}
	t.fixed = make([]netip.AddrPort, 0, len(t.Backend.Addresses))
	for _, e := range t.Backend.Addresses {
		address, err := netip.ParseAddr(e.Address)
		if err != nil {
			return fmt.Errorf("prepare target %s: %w", t.Backend.Name, err)
		}
		port := e.Port
		if port == 0 {
			port = t.Port
		}
		if port < 1 || port > 65535 {
			return fmt.Errorf("prepare target %s: port %d is none", t.Backend.Name, port)
		}
		t.fixed = append(t.fixed, netip.AddrPortFrom(address.Unmap(), uint16(port)))
		if e.Pod {
			t.pods = append(t.pods, address.Unmap())
		}
	}
	slices.SortFunc(t.pods, netip.Addr.Compare)
	return nil
}

// Endpoints are the addresses of a backend that is not resolved. The list must not be changed.
func (t *Target) Endpoints() []netip.AddrPort { return t.fixed }

// pod reports whether an address is a known Pod's of the backend.
func (t *Target) pod(address netip.Addr) bool {
	_, known := slices.BinarySearchFunc(t.pods, address, netip.Addr.Compare)
	return known
}

// serverName is the name presented and verified.
func (t *Target) serverName() string {
	switch {
	case t.TLS != nil && t.TLS.hostname != "":
		return t.TLS.hostname
	case t.ServerName != "":
		return t.ServerName
	}
	return t.Hostname
}

// Release lets go of the target's pool; the last to do so closes its idle connections. Connections in use are closed
// when they are put back, and a Get that comes late dials anew.
func (t *Target) Release() {
	if t.root == t && !t.released.Swap(true) {
		t.dialer.release(t.pool)
	}
}

// Host is the target of one name below a wildcard's suffix; another target is its own. Each name has its own pool, the
// pools of a wildcard are bounded, and the one longest unused is closed for the next.
func (t *Target) Host(name string) (*Target, error) {
	if !t.wild {
		return t, nil
	}
	return t.one(name, "")
}

// one is the target of a name with a pool of its own.
func (t *Target) one(name, hop string) (*Target, error) {
	if t.wild {
		suffix := t.Hostname[1:]
		if len(name) <= len(suffix) || !strings.HasSuffix(name, suffix) || strings.HasPrefix(name, "*") {
			return nil, fmt.Errorf("dial %s: the name asked for is not below %s", t.Backend.Name, t.Hostname)
		}
	}
	one := &Target{TargetConfig: t.TargetConfig, dialer: t.dialer, root: t, hop: hop}
	one.Hostname = name
	key := t.pool.key
	key.hostname, key.serverName, key.hop = name, one.serverName(), hop
	one.pool = t.pool.host(key, t.TLS, t.dialer.now)
	return one, nil
}

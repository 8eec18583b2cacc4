# Builds the binaries: see cluster.sh, which sources this. What is built depends on pins/, this file and Go alone, so a stamp
# of them says whether there is anything to do, without a look at the network.

# built STAMP: whether the binaries of STAMP are those that would be built now.
built() { [ "$(cat "$BIN/$1.stamp" 2>/dev/null)" = "$(inputs)" ]; }
inputs() { (go version && cd "$HERE" && cat build.sh pins/*/*) | sha256sum; }

# once STAMP FUNCTION: does FUNCTION unless the stamp holds already; of several at once, one does it and the others wait.
once() {
	built "$1" && return
	(
		flock 9
		if ! built "$1"; then
			rm -rf "$BIN/$1.stamp" "$SRC" && mkdir -p "$BIN" "$SRC"
			cp -R "$HERE/pins/." "$SRC/"
			"$2"
			inputs >"$BIN/$1.stamp"
			say "$1: built in $BIN"
		fi
	) 9>"$S/build.lock"
}

# compile PIN NAME PACKAGE [FLAG...]: a static binary, moved into place whole, so that a running one is not disturbed. The sums
# of pins/ are the whole list: nothing is added to them.
compile() {
	say "go build $2"
	(cd "$SRC/$1" && CGO_ENABLED=0 go build -mod=readonly -buildvcs=false -trimpath "${@:4}" -o "$BIN/$2.new" "$3")
	mv "$BIN/$2.new" "$BIN/$2"
}

# kubernetes NAME...: commands of Kubernetes. Unless told their version they call themselves v0.0.0-master, which breaks what
# depends on the versions of others.
kubernetes() {
	local name package flags="-s -w"
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags+=" -X $package.gitVersion=v$K8S_VERSION -X $package.gitMajor=${K8S_VERSION%%.*}"
		flags+=" -X $package.gitMinor=$(cut -d. -f2 <<<"$K8S_VERSION") -X $package.gitTreeState=clean"
	done
	for name in "$@"; do # one at a time: a link takes up to 2 GiB
		compile k8s "$name" "k8s.io/kubernetes/cmd/$name" -ldflags="$flags"
	done
}

control_plane() {
	compile k8s etcd go.etcd.io/etcd/server/v3 -ldflags="-s -w"
	kubernetes kube-apiserver kubectl
}

node() {
	kubernetes kube-controller-manager kube-scheduler kubelet kube-proxy
	coredns
	compile echo echo-basic sigs.k8s.io/gateway-api/conformance/echo-basic -ldflags="-s -w"
	pause
	manifests
}

# coredns has the plugins that a test needs: its own command links every cloud's SDK.
coredns() {
	{
		printf 'package main\n\nimport (\n'
		for plugin in cache errors forward health hosts kubernetes loadbalance log ready reload template whoami; do
			printf '\t_ "github.com/coredns/coredns/plugin/%s"\n' $plugin
		done
		printf '\n\t"github.com/coredns/coredns/coremain"\n)\n\nfunc main() { coremain.Run() }\n'
	} >"$SRC/coredns/main.go"
	compile coredns coredns . -ldflags="-s -w"
}

# pause holds a Pod's namespaces, and reaps what its containers leave where they share its process namespace.
pause() {
	mkdir -p "$SRC/pause"
	printf 'module kube.local/pause\n\ngo 1.26.0\n' >"$SRC/pause/go.mod"
	cat >"$SRC/pause/main.go" <<'GO'
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			os.Exit(0)
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}
GO
	compile pause pause . -ldflags="-s -w"
}

# manifests copies what `up` and `base` apply out of the module cache, and the names of the images that the suite asks for.
manifests() {
	local api suite
	api=$(module sigs.k8s.io/gateway-api)
	suite=$(module sigs.k8s.io/gateway-api/conformance)
	rm -rf "$S/yaml" && mkdir -p "$S/yaml/crd"
	install -m 644 "$api"/config/crd/experimental/*.yaml "$S/yaml/crd/"
	rm -f "$S/yaml/crd/kustomization.yaml"
	install -m 644 "$suite/base/manifests.yaml" "$S/yaml/base.yaml"
	grep -rhoE 'image: *[^ ]+' "$suite" --include='*.yaml' | sed 's/image: *//' | sort -u >"$S/yaml/images"
}
module() { (cd "$SRC/echo" && go mod download "$1" && go list -m -f '{{.Dir}}' "$1"); }

packages() {
	local want=(containerd runc containernetworking-plugins iptables nftables conntrack ipset iproute2 openssl) missing=() name
	for name in "${want[@]}"; do
		dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]}"
	apt-get update -qq
	# RUNLEVEL=1 keeps the packages from starting their services: `up` starts its own containerd.
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

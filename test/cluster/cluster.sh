#!/usr/bin/env bash
# A real Kubernetes for tests, built from Go modules: README.md says what it is made of and where it lies.
#
#   cluster.sh control-plane                    build etcd, kube-apiserver and kubectl; needs Go alone
#   cluster.sh build                            build all the rest too, and install Debian's containerd, runc and CNI plugins
#   cluster.sh up                               start a cluster of one node, with the CRDs of Gateway API and Ebbgate
#   cluster.sh load-image NAME BINARY [UID]     have the node know a static binary as the image NAME (host/path:tag)
#   cluster.sh import TAR                       have the node know an image, as deploy/image or `docker save` writes it
#   cluster.sh base                             apply the base manifests of Gateway API's conformance suite, and wait for them
#   cluster.sh apiserver stop|start             end the API server of a cluster that is up, and begin it again
#   cluster.sh kubelet restart                  end the kubelet and begin it again: it forgets the tokens that Pods have
#   cluster.sh crash NAMESPACE POD              kill the first container of a Pod without a word
#   cluster.sh kubectl ARGUMENTS...             kubectl, as administrator
#   cluster.sh env                              print KUBECONFIG and PATH for a shell to eval
#   cluster.sh status                           print what runs, and its memory
#   cluster.sh down                             stop all that `up` started, and undo what it changed on the machine
#   cluster.sh wipe                             down, and forget all but the binaries
#
# Each may be run any number of times. All but control-plane must be root.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
S=${KUBE_STATE:-${XDG_CACHE_HOME:-$HOME/.cache}/ebbgate/kube}
S=$(mkdir -p "$S" && cd "$S" && pwd)
BIN=$S/bin SRC=$S/src PKI=$S/pki CONF=$S/conf LOG=$S/log RUN=$S/run IMG=$S/images
K8S_VERSION=$(sed -n 's#^require k8s.io/kubernetes v##p' "$HERE/pins/k8s/go.mod")

say() { printf '%s [%4ss] %s\n' "cluster.sh" "$SECONDS" "$*" >&2; }
die() {
	say "$*"
	exit 1
}

. "$HERE/build.sh"
. "$HERE/node.sh"
. "$HERE/image.sh"

up() {
	built control-plane && built node || die "not built: cluster.sh build"
	certs
	configs
	net_up
	# --unsafe-no-fsync: what it holds may be lost
	start etcd "$BIN/etcd" --name n --data-dir "$S/etcd" --unsafe-no-fsync --log-level warn \
		--listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
		--listen-peer-urls "http://127.0.0.1:$((ETCD_PORT + 1))" --initial-advertise-peer-urls "http://127.0.0.1:$((ETCD_PORT + 1))" \
		--initial-cluster "n=http://127.0.0.1:$((ETCD_PORT + 1))"
	start containerd containerd --config "$CONF/containerd.toml"
	apiserver
	waitfor containerd 30 nctr version
	images
	waitfor "API server" 90 k get --raw /readyz
	start kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig "$CONF/controller-manager.kubeconfig" \
		--authentication-kubeconfig "$CONF/controller-manager.kubeconfig" --authorization-kubeconfig "$CONF/controller-manager.kubeconfig" \
		--bind-address 127.0.0.1 --leader-elect=false --use-service-account-credentials --root-ca-file "$PKI/ca.crt" \
		--service-account-private-key-file "$PKI/sa.key" --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key"
	start kube-scheduler "$BIN/kube-scheduler" --kubeconfig "$CONF/scheduler.kubeconfig" \
		--authentication-kubeconfig "$CONF/scheduler.kubeconfig" --authorization-kubeconfig "$CONF/scheduler.kubeconfig" \
		--bind-address 127.0.0.1 --leader-elect=false
	kubelet
	start kube-proxy "$BIN/kube-proxy" --config "$CONF/kube-proxy.yaml"
	apply "$S"/yaml/crd/*.yaml "$HERE"/../../deploy/crds/ebbgate.dev_*.yaml "$HERE/dns.yaml"
	waitfor node 90 k wait --for=condition=Ready "node/$NODE" --timeout=1s
	waitfor CRDs 60 k wait --for=condition=Established crd --all --timeout=10s
	waitfor "cluster DNS" 90 k -n kube-system wait --for=condition=Available deploy/coredns --timeout=1s
	say "up: eval \"\$($0 env)\""
}

apiserver() {
	start kube-apiserver "$BIN/kube-apiserver" --etcd-servers "http://127.0.0.1:$ETCD_PORT" \
		--bind-address "$NODE_IP" --advertise-address "$NODE_IP" --secure-port "$API_PORT" \
		--service-cluster-ip-range "$SVC_CIDR" --authorization-mode Node,RBAC --allow-privileged \
		--client-ca-file "$PKI/ca.crt" --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" \
		--kubelet-client-certificate "$PKI/apiserver-kubelet.crt" --kubelet-client-key "$PKI/apiserver-kubelet.key" \
		--kubelet-certificate-authority "$PKI/ca.crt" --kubelet-preferred-address-types InternalIP \
		--requestheader-client-ca-file "$PKI/front-ca.crt" --requestheader-allowed-names front-proxy \
		--requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
		--requestheader-extra-headers-prefix X-Remote-Extra- \
		--service-account-issuer https://kubernetes.default.svc.cluster.local \
		--service-account-key-file "$PKI/sa.pub" --service-account-signing-key-file "$PKI/sa.key" \
		--enable-admission-plugins NodeRestriction --profiling=false
}

kubelet() {
	start kubelet "$BIN/kubelet" --config "$CONF/kubelet.yaml" --kubeconfig "$CONF/kubelet.kubeconfig" \
		--root-dir "$S/kubelet" --cert-dir "$S/kubelet/pki" --hostname-override "$NODE" --node-ip "$NODE_IP"
}

# apply FILE...
apply() {
	k apply --server-side --force-conflicts "${@/#/--filename=}" >>"$LOG/apply.log" 2>&1 || die "apply: see $LOG/apply.log"
}

# down ends processes by their files. Containers are ours where our containerd lists them; shims mostly end with them.
down() {
	local c ns n sb hp
	stop kube-proxy
	stop kubelet
	stop kube-scheduler
	stop kube-controller-manager
	# Where containerd died its containers live on: bring it back to ask it.
	if ! alive containerd && [ -n "$(ls -A "$RUN/containerd/io.containerd.runtime.v2.task/k8s.io" 2>/dev/null)" ]; then
		start containerd containerd --config "$CONF/containerd.toml"
		for ((n = 0; n < 100; n++)); do
			nctr version >/dev/null 2>&1 && break
			sleep 0.2
		done
	fi
	if alive containerd; then
		ns=$(for c in $(nctr containers ls -q); do nctr containers info "$c" | grep -o '/[a-z/]*netns/cni-[0-9a-f-]*' || true; done | sort -u)
		# the shims are the parents of the containers' first processes
		for n in "$RUN"/containerd/io.containerd.runtime.v2.task/k8s.io/*/init.pid; do
			n=$(awk '/^PPid:/{print $2}' "/proc/$(cat "$n" 2>/dev/null)/status" 2>/dev/null) && [ -n "$n" ] && echo "$n $(starttime "$n")" || true
		done | sort -u >"$RUN/shims"
		sb=$(nctr containers ls -q 'labels."io.cri-containerd.kind"==sandbox')
		hp=$(iptables -w -t nat -S 2>/dev/null | grep -m1 CNI-HOSTPORT-DNAT || true)
		for c in $(nctr tasks ls -q); do nctr tasks rm -f "$c" >/dev/null 2>&1 || true; done
		for c in $(nctr containers ls -q); do nctr containers rm "$c" >/dev/null 2>&1 || true; done
		for c in $sb; do # what CNI's DEL would undo: rules of hostPort, and its cache
			[ -z "$hp" ] || printf '{"cniVersion":"1.0.0","name":"kube","type":"portmap","runtimeConfig":{"portMappings":[{"hostPort":1,"containerPort":1,"protocol":"tcp"}]}}' |
				CNI_COMMAND=DEL CNI_CONTAINERID=$c CNI_NETNS= CNI_IFNAME=eth0 CNI_PATH=$CNI_BIN "$CNI_BIN/portmap" >/dev/null 2>&1 || true
			rm -f /var/lib/cni/results/*-"$c"-*
		done
		for n in $ns; do
			umount "$n" 2>/dev/null || true
			rm -f "$n"
		done
	fi
	stop containerd
	if [ -f "$RUN/shims" ]; then
		while read -r n c; do # the same process still, and one that serves our socket
			if [ "$(starttime "$n")" = "$c" ] && tr '\0' ' ' <"/proc/$n/cmdline" 2>/dev/null | grep -qF -- "-address $SOCK"; then
				say "end shim $n"
				kill -9 "$n" 2>/dev/null || true
			fi
		done <"$RUN/shims"
		rm -f "$RUN/shims"
	fi
	stop kube-apiserver 15
	stop etcd
	net_down
	# mounts of the kubelet and of containerd, the deepest first
	awk '{print $2}' /proc/mounts | { grep -F "$S/" || true; } | sort -r | while read -r n; do umount "$(printf %b "$n")" 2>/dev/null || true; done
	for n in /sys/fs/cgroup/*/kubepods /sys/fs/cgroup/kubepods; do
		[ -d "$n" ] && find "$n" -depth -type d -exec rmdir {} + 2>/dev/null || true
	done
	# Nothing is removed through a mount that is left: a Pod's hostPath may be behind it.
	! awk '{print $2}' /proc/mounts | grep -qF "$S/" || die "still mounted under $S: $(awk '{print $2}' /proc/mounts | grep -F "$S/" | tr '\n' ' ')"
	# The next `up` makes the Pods anew, from what etcd holds.
	rm -rf "$S/kubelet/pods" "$S/cni-ipam" "$RUN/containerd" "$S/podlogs"
	find /var/log/containers -maxdepth 1 -xtype l -lname "$S/*" -delete 2>/dev/null || true
	say down
}

status() {
	local n p t
	for n in etcd containerd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do
		if alive $n; then
			read -r p t <"$RUN/$n.pid"
			printf '%-26s pid %-7s rss %s MiB\n' $n "$p" "$(awk '/VmRSS/{printf "%d",$2/1024}' "/proc/$p/status")"
		else printf '%-26s not running\n' $n; fi
	done
	alive kube-apiserver && k get nodes,pods -A -o wide || true
}

# base applies what the suite's Setup does: its manifests, and the Secrets that they mount, which it makes in Go.
base() {
	local t ns
	t=$(mktemp -d "$S/base.XXXXXX")
	sed 's/{GATEWAY_CLASS_NAME}/none/' "$S/yaml/base.yaml" | k apply --server-side --force-conflicts -f - >"$LOG/base.log"
	openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=abc.example.com -addext subjectAltName=DNS:abc.example.com,DNS:other.example.com \
		-keyout "$t/k" -out "$t/c" 2>/dev/null
	for ns in gateway-conformance-infra/tls-checks-certificate gateway-conformance-infra/tls-passthrough-checks-certificate \
		gateway-conformance-app-backend/tls-passthrough-checks-certificate; do
		k -n "${ns%/*}" create secret tls "${ns#*/}" --cert "$t/c" --key "$t/k" --dry-run=client -o yaml | k apply -f - >>"$LOG/base.log"
	done
	rm -rf "$t"
	for ns in infra app-backend web-backend; do
		k -n gateway-conformance-$ns wait --for=condition=Available deploy --all --timeout=180s >>"$LOG/base.log" || die "base: not Ready, see cluster.sh status"
		say "gateway-conformance-$ns: all Deployments Available"
	done
}

main() {
	if [ $# -gt 0 ] && [ "$1" != control-plane ]; then
		[ "$(id -u)" -eq 0 ] || die "$1 must be root"
		mkdir -p "$PKI" "$CONF" "$LOG" "$RUN" "$IMG"
	fi
	case ${1:-} in
	control-plane) once control-plane control_plane ;;
	build)
		packages
		once control-plane control_plane
		once node node
		;;
	up) up ;;
	down) down ;;
	load-image)
		[ $# -ge 3 ] || die "load-image NAME BINARY [UID]"
		load_image "$2" "$3" "${4:-65532}"
		;;
	apiserver)
		case ${2:-} in
		stop) stop kube-apiserver 15 ;;
		start) apiserver && waitfor "API server" 90 k get --raw /readyz ;;
		*) die "apiserver stop|start" ;;
		esac
		;;
	kubelet)
		[ "${2:-}" = restart ] || die "kubelet restart"
		stop kubelet
		kubelet
		;;
	crash)
		id=$(k -n "${2:?crash NAMESPACE POD}" get pod "${3:?crash NAMESPACE POD}" -o 'jsonpath={.status.containerStatuses[0].containerID}')
		nctr tasks kill -s SIGKILL "${id#containerd://}"
		;;
	import) import "${2:?import TAR}" ;;
	status) status ;;
	base) base ;;
	kubectl) k "${@:2}" ;;
	env) echo "export KUBECONFIG='$CONF/admin.kubeconfig' PATH='$BIN':\"\$PATH\"" ;;
	wipe)
		down
		rm -rf "$S/etcd" "$S/kubelet" "$S/containerd" "$PKI" "$CONF" "$IMG" "$LOG"
		;;
	*)
		sed -n '2,/^set -e/s/^# \{0,1\}//p' "$0" >&2
		exit 2
		;;
	esac
}
{ # read whole before it runs, and nothing after it: the file may be edited meanwhile
	main "$@"
	exit
}

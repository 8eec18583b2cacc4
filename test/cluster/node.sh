# The node: certificates, network, configuration, and the processes that make a cluster of it. See cluster.sh, which sources this.

POD_CIDR=10.244.0.0/16
NODE_IP=10.244.0.1 # of the bridge: API server, kubelet, and the Pods' gateway
SVC_CIDR=10.96.0.0/16
SVC_IP=10.96.0.1 # of the Service `kubernetes`: the first one
DNS_IP=10.96.0.10
LB_CIDR=10.97.0.0/24 # for addresses that a test or a controller writes to status.loadBalancer: kube-proxy answers them
BRIDGE=kube0
NODE=node-1
API_PORT=6443
ETCD_PORT=23790                # of 127.0.0.1; the next one is for peers
CNI_BIN=/usr/lib/cni           # Debian's
PAUSE_IMAGE=kube.local/pause:1 # a made-up name: nothing is ever pulled
DNS_IMAGE=kube.local/coredns:1
SOCK=$RUN/containerd.sock

k() { KUBECONFIG=$CONF/admin.kubeconfig "$BIN/kubectl" "$@"; }
nctr() { ctr -a "$SOCK" -n k8s.io "$@"; }

# put FILE writes what it reads, where that differs.
put() {
	cat >"$1.new"
	if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

# ---- processes: a file each with "PID STARTTIME", so that a number given anew is never taken for ours

starttime() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

alive() {
	local p t
	[ -f "$RUN/$1.pid" ] && read -r p t <"$RUN/$1.pid" && [ -n "$t" ] && [ "$(starttime "$p")" = "$t" ] &&
		! grep -qs '^State:.Z' "/proc/$p/status"
}

# start NAME COMMAND...
start() {
	local n=$1
	shift
	alive "$n" && return 0
	say "start $n"
	setsid "$@" </dev/null >>"$LOG/$n.log" 2>&1 &
	echo "$! $(starttime $!)" >"$RUN/$n.pid"
}

# stop NAME [SECONDS] asks for the end, and after SECONDS makes one.
stop() {
	local n=$1 p t i
	if alive "$n"; then
		read -r p t <"$RUN/$n.pid"
		say "stop $n ($p)"
		kill "$p" 2>/dev/null || true
		for ((i = 0; i < ${2:-10} * 10; i++)); do
			alive "$n" || break
			sleep 0.1
		done
		! alive "$n" || kill -9 "$p" 2>/dev/null || true
	fi
	rm -f "$RUN/$n.pid"
}

# waitfor WHAT SECONDS COMMAND... asks until COMMAND succeeds. What ended meanwhile ends the waiting.
waitfor() {
	local w=$1 n=$2 end i
	shift 2
	end=$((SECONDS + n))
	while :; do
		for i in "$RUN"/*.pid; do
			i=$(basename "$i" .pid)
			alive "$i" || die "$i has ended: $LOG/$i.log"
		done
		"$@" >/dev/null 2>&1 && {
			say "$w: ok"
			return
		}
		[ $SECONDS -lt $end ] || break
		sleep 0.2
	done
	die "$w: not after $n s (logs in $LOG)"
}

# ---- certificates

# cert FILE SUBJECT [SAN]
cert() {
	local f=$PKI/$1
	[ -f "$f.crt" ] && return
	openssl ecparam -name prime256v1 -genkey -noout -out "$f.key"
	openssl req -new -key "$f.key" -subj "$2" -out "$f.csr"
	openssl x509 -req -in "$f.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 3650 -out "$f.crt" \
		-extfile <(printf 'keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n%s' "${3:+subjectAltName=$3}") 2>/dev/null
	rm -f "$f.csr"
}

# kubeconfig NAME, of the certificate and of the file
kubeconfig() {
	put "$CONF/$1.kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://$NODE_IP:$API_PORT", certificate-authority: "$PKI/ca.crt"}}]
users: [{name: u, user: {client-certificate: "$PKI/$1.crt", client-key: "$PKI/$1.key"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
Y
}

certs() {
	if [ ! -f "$PKI/ca.crt" ]; then
		openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/ca.key"
		openssl req -x509 -new -key "$PKI/ca.key" -subj /CN=kube-ca -days 3650 -out "$PKI/ca.crt" \
			-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature
	fi
	# for the API aggregator, which nothing uses: without one, several components complain every minute
	[ -f "$PKI/front-ca.crt" ] || openssl req -x509 -newkey rsa:2048 -nodes -keyout "$PKI/front-ca.key" \
		-subj /CN=front-proxy-ca -days 3650 -out "$PKI/front-ca.crt" 2>/dev/null
	if [ ! -f "$PKI/sa.pub" ]; then
		openssl genrsa -out "$PKI/sa.key" 2048 2>/dev/null
		openssl rsa -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub" 2>/dev/null
	fi
	cert apiserver /CN=kube-apiserver "IP:127.0.0.1,IP:$NODE_IP,IP:$SVC_IP,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
	cert kubelet-server "/CN=$NODE" "IP:$NODE_IP,DNS:$NODE"
	cert apiserver-kubelet /O=system:masters/CN=apiserver-kubelet
	cert admin /O=system:masters/CN=admin
	cert controller-manager /CN=system:kube-controller-manager
	cert scheduler /CN=system:kube-scheduler
	cert kube-proxy /CN=system:kube-proxy
	cert kubelet "/O=system:nodes/CN=system:node:$NODE"
	local n
	for n in admin controller-manager scheduler kube-proxy kubelet; do kubeconfig $n; done
	chmod 600 "$PKI"/*.key
}

# ---- the network of the machine: a bridge that has the node's address

net_up() {
	[ -f "$RUN/ip_forward" ] || cp /proc/sys/net/ipv4/ip_forward "$RUN/ip_forward" # which `down` puts back
	echo 1 >/proc/sys/net/ipv4/ip_forward
	# Answers of one Pod to another cross the bridge at layer 2: conntrack must see those that came by way of a Service,
	# or they have the wrong source.
	local f=/proc/sys/net/bridge/bridge-nf-call-iptables
	[ -w $f ] && echo 1 >$f || say "no br_netfilter: Services between Pods will fail"
	ip link show "$BRIDGE" >/dev/null 2>&1 || ip link add "$BRIDGE" type bridge
	ip link set "$BRIDGE" up
	ip addr show dev "$BRIDGE" | grep -q "inet $NODE_IP/" || ip addr add "$NODE_IP/${POD_CIDR#*/}" dev "$BRIDGE"
	# so that the machine reaches a Service without a default route, and from an address that Pods can answer
	local r
	for r in "$SVC_CIDR" "$LB_CIDR"; do ip route replace "$r" dev "$BRIDGE" src "$NODE_IP"; done
	# for Pods that leave the node: a table of its own, which `down` removes whole
	nft -f - <<N
table ip kube_local_masq
delete table ip kube_local_masq
table ip kube_local_masq {
  chain postrouting {
    type nat hook postrouting priority 110;
    ip saddr $POD_CIDR ip daddr != { $POD_CIDR, $SVC_CIDR } oifname != "$BRIDGE" masquerade
  }
}
N
}

net_down() {
	[ -x "$BIN/kube-proxy" ] && "$BIN/kube-proxy" --cleanup --config "$CONF/kube-proxy.yaml" >>"$LOG/kube-proxy-cleanup.log" 2>&1 || true
	nft delete table ip kube_local_masq 2>/dev/null || true
	nft delete table ip kube-proxy 2>/dev/null || true
	nft delete table ip6 kube-proxy 2>/dev/null || true
	# the empty chains that the kubelet and the portmap plugin leave
	local c
	for c in INPUT OUTPUT; do iptables -w -D $c -j KUBE-FIREWALL 2>/dev/null || true; done
	iptables -w -F KUBE-FIREWALL 2>/dev/null && iptables -w -X KUBE-FIREWALL 2>/dev/null || true
	if [ -z "$(iptables -w -t nat -S CNI-HOSTPORT-DNAT 2>/dev/null | grep ^-A || true)" ]; then
		for c in PREROUTING OUTPUT; do iptables -w -t nat -D $c -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT 2>/dev/null || true; done
		iptables -w -t nat -D POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ 2>/dev/null || true
		for c in CNI-HOSTPORT-DNAT CNI-HOSTPORT-MASQ CNI-HOSTPORT-SETMARK; do
			iptables -w -t nat -F $c 2>/dev/null && iptables -w -t nat -X $c 2>/dev/null || true
		done
	fi
	ip link del "$BRIDGE" 2>/dev/null || true
	[ ! -f "$RUN/ip_forward" ] || {
		cat "$RUN/ip_forward" >/proc/sys/net/ipv4/ip_forward
		rm -f "$RUN/ip_forward"
	}
}

# ---- configuration

configs() {
	mkdir -p "$CONF/cni" "$S/kubelet" "$S/podlogs" "$S/containerd"
	put "$CONF/containerd.toml" <<T
version = 2
root = "$S/containerd"
state = "$RUN/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "$SOCK"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  # Pods that are not root may bind low ports, as with other runtimes.
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  # Root may lack CAP_SYS_RESOURCE, which a sandbox's oom_score_adj of -998 takes: runc would die with "can't get final
  # child's PID from pipe".
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$CNI_BIN"
    conf_dir = "$CONF/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
T
	put "$CONF/cni/10-kube.conflist" <<J
{"cniVersion": "1.0.0", "name": "kube", "plugins": [
  {"type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "isDefaultGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$S/cni-ipam", "ranges": [[{"subnet": "$POD_CIDR", "gateway": "$NODE_IP"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
J
	: >>"$CONF/resolv.conf"
	put "$CONF/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
healthzBindAddress: 127.0.0.1
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: "$PKI/ca.crt"}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet-server.crt
tlsPrivateKeyFile: $PKI/kubelet-server.key
containerRuntimeEndpoint: unix://$SOCK
cgroupDriver: cgroupfs
failCgroupV1: false # or it refuses machines with cgroup v1
failSwapOn: false
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: $CONF/resolv.conf
podLogsDir: $S/podlogs
maxPods: 200
enforceNodeAllocatable: [pods]
makeIPTablesUtilChains: false # kube-proxy in nftables mode needs none
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
imageGCHighThresholdPercent: 100 # an image that is collected cannot be pulled again
imageMaximumGCAge: 0s
syncFrequency: 10s
nodeStatusUpdateFrequency: 10s
shutdownGracePeriod: 0s
Y
	put "$CONF/kube-proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: "$CONF/kube-proxy.kubeconfig"}
clusterCIDR: $POD_CIDR
hostnameOverride: $NODE
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}   # leave the machine's sysctls alone
nodePortAddresses: ["$NODE_IP/32"]
Y
}

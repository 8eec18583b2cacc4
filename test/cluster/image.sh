# Images, made from static binaries. See cluster.sh, which sources this.

# oci NAME BINARY UID OUT: a tar of an OCI layout with one layer: the binary at the root, users, /tmp, and the machine's roots.
oci() {
	local name=$1 bin=$2 uid=$3 out=$4 t b ld cd md
	b=$(basename "$bin")
	t=$(mktemp -d "$IMG/tmp.XXXXXX")
	mkdir -p "$t/r/etc/ssl/certs" "$t/r/tmp" "$t/o/blobs/sha256"
	chmod 755 "$t/r"
	chmod 1777 "$t/r/tmp"
	install -m 755 "$bin" "$t/r/$b"
	printf 'root:x:0:0::/:/none\nnonroot:x:65532:65532::/:/none\n' >"$t/r/etc/passwd"
	printf 'root:x:0:\nnonroot:x:65532:\n' >"$t/r/etc/group"
	[ -f /etc/ssl/certs/ca-certificates.crt ] && cp -L /etc/ssl/certs/ca-certificates.crt "$t/r/etc/ssl/certs/"
	tar -C "$t/r" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$t/layer" .
	ld=$(sha256sum "$t/layer" | cut -d' ' -f1)
	printf '{"architecture":"%s","os":"linux","config":{"User":"%s","Entrypoint":["/%s"],"WorkingDir":"/","Env":["PATH=/"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
		"$(go env GOARCH)" "$uid:$uid" "$b" "$ld" >"$t/config"
	cd=$(sha256sum "$t/config" | cut -d' ' -f1)
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%d}]}' \
		"$cd" "$(stat -c %s "$t/config")" "$ld" "$(stat -c %s "$t/layer")" >"$t/manifest"
	md=$(sha256sum "$t/manifest" | cut -d' ' -f1)
	mv "$t/layer" "$t/o/blobs/sha256/$ld"
	mv "$t/config" "$t/o/blobs/sha256/$cd"
	printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%d,"annotations":{"io.containerd.image.name":"%s","org.opencontainers.image.ref.name":"%s"}}]}' \
		"$md" "$(stat -c %s "$t/manifest")" "$name" "${name##*:}" >"$t/o/index.json"
	mv "$t/manifest" "$t/o/blobs/sha256/$md"
	printf '{"imageLayoutVersion":"1.0.0"}' >"$t/o/oci-layout"
	tar -C "$t/o" -cf "$out" .
	rm -rf "$t"
}

load_image() {
	[[ $1 =~ ^[^/]*[.:][^/]*/.+:[^/:]+$ ]] || die "$1: must be HOST/PATH:TAG, since the kubelet rewrites other names"
	[ -f "$2" ] || die "$2: no such file"
	alive containerd || die "containerd is not running: cluster.sh up"
	local f
	f=$(mktemp "$IMG/img.XXXXXX")
	oci "$1" "$2" "$3" "$f"
	nctr images import "$f" >>"$LOG/images.log" 2>&1 || {
		rm -f "$f"
		die "import of $1: $LOG/images.log"
	}
	rm -f "$f"
	say "image $1"
}

# import TAR
import() {
	alive containerd || die "containerd is not running: cluster.sh up"
	nctr images import "$1" >>"$LOG/images.log" 2>&1 || die "import of $1: $LOG/images.log"
	say "image $(basename "$1" .tar)"
}

# images has the node know the names under which the cluster and the suite ask for what we built.
images() {
	local known name binary user mark
	known=$(nctr images ls -q)
	{
		echo "$PAUSE_IMAGE pause 65532"
		echo "$DNS_IMAGE coredns 0"
		while read -r name; do
			case $name in
			*/echo-basic:*) echo "$name echo-basic 65532" ;;
			*/coredns:*) echo "$name coredns 0" ;; # root, for port 53
			*) say "image $name is not provided: no profile of gateways uses it" ;;
			esac
		done <"$S/yaml/images"
	} | while read -r name binary user; do
		mark=$IMG/${name//[\/:]/_}.done
		if ! grep -qxF "$name" <<<"$known" || [ ! "$mark" -nt "$BIN/$binary" ]; then
			load_image "$name" "$BIN/$binary" "$user" </dev/null
			touch "$mark"
		fi
	done
}

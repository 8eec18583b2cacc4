#!/usr/bin/env bash
# Installs Ebbgate, built from this tree, on the cluster that cluster.sh has started: the images by deploy/image, the rest by
# the chart. What stands already is upgraded. Arguments are helm's, such as --set controller.logLevel=debug.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
TOP=$(cd "$HERE/../.." && pwd)
OUT=$TOP/bin/image/cluster

say() { printf 'ebbgate.sh [%4ss] %s\n' "$SECONDS" "$*" >&2; }

# version names the tree: two trees that differ have two names, or the node would keep the image of the first.
version() {
	local v
	v=$(git -C "$TOP" describe --tags --always --dirty)
	[[ $v != *-dirty ]] || v+=-$(git -C "$TOP" diff HEAD | sha256sum | cut -c1-8)
	echo "$v"
}

main() {
	local v program file helm
	v=$(version)
	say "build $v"
	(cd "$TOP/deploy/image" && go run . -tag "$v" -platforms "linux/$(go env GOARCH)" -out "$OUT") >&2
	for program in ebbgate ebbgate-proxy; do
		file=$OUT/$program-linux-$(go env GOARCH).tar
		"$HERE/cluster.sh" import "$file"
	done
	helm=$("$TOP/deploy/helm/tools.sh")/helm
	eval "$("$HERE/cluster.sh" env)"
	say "install"
	"$helm" upgrade --install ebbgate "$TOP/deploy/helm/ebbgate" --namespace ebbgate-system --create-namespace --take-ownership --force-conflicts \
		--set image.tag="$v" --set proxyImage.tag="$v" "$@" --wait --timeout 3m >&2
	kubectl wait --for=condition=Accepted gatewayclass/ebbgate --timeout=60s >&2
	say "installed"
	echo "$v"
}

main "$@"
exit

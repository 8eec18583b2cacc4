#!/bin/sh
# Generates the deep copies in api/v1alpha1, our CRDs, their copy in the Helm chart, and the embedded schema files, all from
# the Go types and from the Gateway API version that go.mod names.
#
#   deploy/crds/generate.sh          write them
#   deploy/crds/generate.sh --check  say what would change; exit 1 if anything would
set -eu

controller_gen=sigs.k8s.io/controller-tools/cmd/controller-gen@v0.21.0

case "${1:-}" in
"" | --check) ;;
*)
	echo "usage: $0 [--check]" >&2
	exit 2
	;;
esac

cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir "$out/api" "$out/crds"

go run "$controller_gen" object paths=./api/v1alpha1 output:object:dir="$out/api"
go run "$controller_gen" crd paths=./api/v1alpha1 output:crd:dir="$out/crds"

# compact imports the package that embeds the schema files, so it cannot be built before they exist once.
for file in index.json ebbgate/none.json gateway-api/none.json; do
	mkdir -p "$(dirname "deploy/crds/$file")"
	[ -e "deploy/crds/$file" ] || echo '[]' >"deploy/crds/$file"
done
mkdir "$out/chart"
cp "$out"/crds/*.yaml "$out/chart/"
standard=$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/experimental
go run ./deploy/crds/compact "$out/crds" "$out/crds" "$standard"
rm -f deploy/crds/ebbgate/none.json deploy/crds/gateway-api/none.json

if [ "${1:-}" = --check ]; then
	stale=0
	diff -u api/v1alpha1/zz_generated.deepcopy.go "$out/api/zz_generated.deepcopy.go" || stale=1
	diff -ru -x '*.go' -x '*.sh' -x compact deploy/crds "$out/crds" >"$out/diff" || stale=1
	diff -ru deploy/helm/ebbgate/files/crds "$out/chart" >>"$out/diff" || stale=1
	cut -c 1-200 "$out/diff"
	if [ "$stale" -ne 0 ]; then
		echo "generated files are stale: run deploy/crds/generate.sh and commit the result" >&2
		exit 1
	fi
	exit 0
fi

rm -f deploy/crds/ebbgate.dev_*.yaml deploy/crds/ebbgate/*.json deploy/crds/gateway-api/*.json deploy/helm/ebbgate/files/crds/*.yaml
cp "$out"/chart/*.yaml deploy/helm/ebbgate/files/crds/
cp "$out/api/zz_generated.deepcopy.go" api/v1alpha1/
cp -R "$out/crds/." deploy/crds/

#!/bin/sh
# Builds what the chart is tested with, and prints the folder that it lies in: helm, and in crds/ the definitions of the
# Prometheus operator's kinds, generated from its Go types. Quick once all is there.
set -eu

helm=v4.3.1
operator=v0.95.2

state=${XDG_CACHE_HOME:-$HOME/.cache}/ebbgate/helm
folder=$state/helm-$helm-operator-$operator
if [ ! -d "$folder" ]; then
	mkdir -p "$state"
	made=$(mktemp -d "$state/new.XXXXXX")
	trap 'rm -rf "$made"' EXIT
	mkdir "$made/tools" "$made/types"
	cd "$made" # in no module
	echo "tools.sh: building helm $helm" >&2
	GOBIN=$made/tools go install "helm.sh/helm/v4/cmd/helm@$helm"
	types=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring@$operator
	types=$(go mod download -json "$types" | sed -n 's/^.*"Dir": "\(.*\)".*$/\1/p')
	cp -R "$types/." types/
	chmod -R u+w types
	(cd types && go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.21.0 crd paths=./v1 output:crd:dir="$made/tools/crds")
	mv -T "$made/tools" "$folder" 2>/dev/null || [ -d "$folder" ] # another may have been first
fi
echo "$folder"

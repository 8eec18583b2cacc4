#!/usr/bin/env bash
# Runs the whole-node tests: a cluster of one node, Ebbgate built from this tree and installed by its chart, workloads in Pods,
# and destinations outside. Arguments are go test's, such as -run TestFailover. `make e2e` calls it.
set -euo pipefail
cd "$(dirname "$0")"
CLUSTER=../../cluster

"$CLUSTER/cluster.sh" build
"$CLUSTER/cluster.sh" up
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
CGO_ENABLED=0 go build -trimpath -o "$out/client" ./client
"$CLUSTER/cluster.sh" load-image kube.local/client:1 "$out/client"
"$CLUSTER/ebbgate.sh" --set clusterName=node
eval "$("$CLUSTER/cluster.sh" env)"
export EBBGATE_CLUSTER="$PWD/$CLUSTER/cluster.sh"
go test -tags cluster -count 1 -timeout 60m -v . "$@"

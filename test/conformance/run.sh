#!/usr/bin/env bash
# Runs Gateway API's conformance suite against Ebbgate, built from this tree, on a cluster of one node, and writes
# docs/conformance. Fails where a test fails. RUN=HTTPRouteWeight runs one test, and writes nothing. `make conformance` calls it.
set -euo pipefail
cd "$(dirname "$0")"
CLUSTER=../cluster
API=$(sed -n 's#^\tsigs.k8s.io/gateway-api/conformance ##p' go.mod)
REPORT=$PWD/../../docs/conformance/$API/report.yaml

"$CLUSTER/cluster.sh" build
"$CLUSTER/cluster.sh" up
eval "$("$CLUSTER/cluster.sh" env)"
kubectl create namespace ebbgate-system --dry-run=client -o yaml | kubectl apply --server-side -f -
kubectl delete namespace --ignore-not-found --timeout=180s gateway-conformance-{infra,app-backend,web-backend} # of a run before
# The suite has dozens of Gateways at once, each with two proxies: on one node they cannot all ask for what they would elsewhere.
kubectl apply -f parameters.yaml
"$CLUSTER/ebbgate.sh" --set gatewayClass.parameters.name=conformance >/dev/null

VERSION=v$(sed -n 's/^appVersion: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' ../../deploy/helm/ebbgate/Chart.yaml)
args=(-ebbgate-version "$VERSION" -usable 10.96.0.201 -unusable 192.0.2.1)
if [ -n "${RUN:-}" ]; then
	args+=(-run-test "$RUN" -all-features)
else
	mkdir -p "$(dirname "$REPORT")"
	args+=(-report "$REPORT")
fi
failed=0
go test -tags cluster -count 1 -timeout 60m -v . -args "${args[@]}" || failed=1
[ -n "${RUN:-}" ] || go run ./page "$REPORT"
exit $failed

#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for FUZZTIME (60s) each. Go fuzzes one target a run, so
# they are found by listing. Fails at the first input that fails; Go keeps it under the package's testdata/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."

found=0
packages=$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./...)
for folder in $packages; do
	grep -qs '^func Fuzz' "$folder"/*_test.go || continue
	listed=$(cd "$folder" && go test -list "^Fuzz" .)
	targets=$(grep "^Fuzz" <<<"$listed" || true)
	for target in $targets; do
		found=$((found + 1))
		echo "== ${folder#"$PWD"/} $target"
		(cd "$folder" && go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-60s}" -fuzzminimizetime 100x .)
	done
done
if [ "$found" -eq 0 ]; then
	echo "fuzz.sh: no fuzz target found" >&2
	exit 1
fi
echo "$found fuzz targets ran"

#!/usr/bin/env bash
# Measures Ebbgate against nginx and HAProxy and prints the table: docs/performance.md says how to read it. What
# ROUNDS, SECONDS_EACH (ROUND_SECONDS from make) and ROWS do not say is a flag: test/bench/run.sh -h.
set -euo pipefail
cd "$(dirname "$0")/../.."
go build -o bin/bench ./test/bench
go test -run '^$' -bench BenchmarkExchange -benchtime 20000x ./internal/proxy | grep -E '^Benchmark|allocs' # allocations of a request
exec bin/bench -rounds "${ROUNDS:-3}" -seconds "${SECONDS_EACH:-${ROUND_SECONDS:-5}}" -rows "${ROWS:-}" "$@"

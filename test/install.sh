#!/usr/bin/env bash
# Installs what the tests need and the machine lacks, or says plainly what to install and fails. Quick where all is
# there; may be run any number of times. `make test` and `make bench` call it.
set -euo pipefail
cd "$(dirname "$0")/.."

# command=Debian package. gcc and libc are for the race detector.
needs=(gcc=gcc nginx=nginx haproxy=haproxy wrk=wrk openssl=openssl curl=curl nghttp=nghttp2-client squid=squid)

for tool in go node npm; do
	if ! command -v "$tool" >/dev/null; then
		echo "install.sh: $tool is missing: install Go 1.26 or newer, and node with npm" >&2
		exit 1
	fi
done

PATH=$PATH:/usr/sbin:/sbin # where nginx, haproxy and squid are, also for users whose PATH has no sbin
missing=()
for need in "${needs[@]}"; do
	command -v "${need%%=*}" >/dev/null || missing+=("${need#*=}")
done
if ! echo '#include <stdlib.h>' | gcc -E -x c - >/dev/null 2>&1; then
	missing+=(gcc libc6-dev)
fi

if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
		echo "install.sh: the tests need what this machine lacks. As root: apt-get install ${missing[*]}" >&2
		exit 1
	fi
	echo "install.sh: installing ${missing[*]}"
	apt-get update -qq
	# RUNLEVEL=1 keeps the packages from starting their services: the tests start their own.
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# What tests in other languages use: npm writes node_modules/.package-lock.json once it is through.
find . -name package-lock.json -not -path '*/node_modules/*' | while read -r lock; do
	folder=$(dirname "$lock")
	if [ ! "$folder/node_modules/.package-lock.json" -nt "$lock" ]; then
		echo "install.sh: npm ci in $folder"
		(cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null)
	fi
done

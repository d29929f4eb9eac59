#!/bin/sh
# Checks the dashboard: types, build, sizes, and stories in a browser against the real binary.
# PICLOUD_BIN names a binary that was built already; without it one is built here.
set -eu
cd "$(dirname "$0")"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

npm ci --no-audit --no-fund --loglevel=error
npm run --silent check

npm run --silent build -- --outDir "$tmp/dist" --emptyOutDir --logLevel error
if ! diff -r "$tmp/dist" dist; then
	echo "static/dist is not what static/src builds: run npm run build in static, and commit it" >&2
	exit 1
fi
npm run --silent sizes

if [ -z "${PICLOUD_BIN:-}" ]; then
	PICLOUD_BIN=$tmp/picloud
	(cd .. && CGO_ENABLED=0 go build -o "$PICLOUD_BIN" .)
fi
export PICLOUD_BIN
npm run --silent types -- --check

if [ ! -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
	echo "no browser at ${CHROMIUM:-/usr/bin/chromium}: install chromium, or set CHROMIUM" >&2
	exit 1
fi
npm run --silent e2e

#!/bin/sh
# Checks the dashboard: types, build, sizes, and stories in a browser against the real binary.
# PICLOUD_BIN names a binary that was built already; without it one is built here.
set -eu
cd "$(dirname "$0")"

npm ci --no-audit --no-fund --loglevel=error
npm run --silent check

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
npm run --silent build -- --outDir "$built/dist" --emptyOutDir --logLevel warn
if ! diff -r "$built/dist" dist; then
	echo "static/dist is not what static/src builds: run npm run build in static, and commit it" >&2
	exit 1
fi
npm run --silent sizes

if [ -z "${PICLOUD_BIN:-}" ]; then
	PICLOUD_BIN=$built/picloud
	(cd .. && CGO_ENABLED=0 go build -o "$PICLOUD_BIN" .)
fi
export PICLOUD_BIN
if [ ! -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
	echo "no browser at ${CHROMIUM:-/usr/bin/chromium}: install chromium, or set CHROMIUM" >&2
	exit 1
fi
npm run --silent e2e

#!/usr/bin/env bash
# Checks the release recipe: builds this machine's binary by it, lists what is in it, and builds it again in another
# place, which has to give the same bytes. GORELEASER is the command to use.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
built=$(go env GOOS)_$(go env GOARCH)

# shellcheck disable=SC2086 # several words
sum() { # PLACE: builds there, prints the checksums of the binaries
    (cd "$1" && $GORELEASER build --snapshot --single-target --clean >&2 && sha256sum dist/*"$built"*/task*)
}

# shellcheck disable=SC2086
$GORELEASER check
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git clone -q "$root" "$copy/elsewhere"
first=$(sum "$copy/elsewhere")
mv "$copy/elsewhere" "$copy/at-another-place"
[ "$first" = "$(sum "$copy/at-another-place")" ] || { echo "release-check: two builds of a commit differ"; exit 1; }
binary=$(echo "$copy"/*/dist/*"$built"*/taskmigrate)
"$binary" version | tee /dev/stderr | grep -qE '^taskmigrate v[0-9].*commit [0-9a-f]{40}'
go tool -modfile=tools/release/go.mod cyclonedx-gomod bin -licenses -json -output "$copy/sbom" "$binary"
grep -q '"name": "github.com/pressly/goose/v3"' "$copy/sbom"
echo "release-check: built twice, the same bytes"

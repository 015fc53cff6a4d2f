#!/usr/bin/env bash
# Runs these make targets one after the other, stops at the first that fails, and prints what took how long.
#
#   tools/gate.sh TARGET...
set -euo pipefail
cd "$(dirname "$0")/.."

rows=()
row() { rows+=("$(printf '%-16s %5d s  %s' "$1" "$2" "$3")"); }

report() {
    [ -z "$target" ] || row "$target" $((SECONDS - began)) FAILED
    printf '\n'
    printf '%s\n' "${rows[@]}" "$(printf '%-16s %5d s' all "$SECONDS")"
}
trap report EXIT
trap 'exit 1' INT TERM

for target; do
    began=$SECONDS
    printf '\n=== make %s\n' "$target"
    make "$target"
    row "$target" $((SECONDS - began)) ok
done
target=

#!/usr/bin/env bash
# Runs the commands of the README: each ```sh block, as pasted, on a database of its own
# (`make readme` provides DATABASE_URL). The first block is what a newcomer does; `make test` and
# `make demo` in it are left to the targets of those names.
set -euo pipefail
for file in README.md README.zh-CN.md; do
    echo "--- $file"
    awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' "$file" | grep -v '^make \(demo\|test\)' > "${TMPDIR:-/tmp}/readme.$$"
    trap 'rm -f "${TMPDIR:-/tmp}/readme.$$"' EXIT
    bash -euxo pipefail "${TMPDIR:-/tmp}/readme.$$"
done

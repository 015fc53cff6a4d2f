#!/usr/bin/env bash
# Lints the Up part of each goose migration in a folder (default schema) and exits 1 on any finding:
#   - squawk, told whether goose runs the file in a transaction
#   - our own rule: around concurrent builds stand the two blocks of schema/00003_add_idx_task.sql, which move
#     an invalid leftover aside and check that each index is valid; they name each index that the file builds
set -euo pipefail
dir=${1:-schema}
root=$(cd "$(dirname "$0")/.." && pwd)
up=$(mktemp -d)
trap 'rm -rf "$up"' EXIT
failed=0

# up_part prints a file without its Down. Line numbers stay those of the file.
up_part() { awk '/^-- \+goose Down/ { exit } { print }' "$1"; }
# blocks prints the DO blocks of a file without their lists of wanted indexes.
blocks() {
    awk '/^DO / { block = 1 }
        / AS wanted / { list = 0 }
        block && !list { print }
        /VALUES$/ { list = 1 }
        /^END / { block = 0 }' "$1"
}
# wanted prints the list of the first or the second block, without indentation.
wanted() {
    awk -v n="$1" '/ AS wanted / { list = 0 }
        list && seen == n { sub(/^ +/, ""); print }
        /VALUES$/ { list = 1; seen++ }' "$2"
}
guard=$(blocks <(up_part "$root/schema/00003_add_idx_task.sql"))
complain() {
    echo "$file: builds an index concurrently without the guard against an invalid leftover of" \
        "schema/00003_add_idx_task.sql: $1" >&2
    failed=1
}

for file in "$dir"/[0-9]*.sql; do
    name=$(basename "$file")
    up_part "$file" > "$up/$name"

    mode=(--assume-in-transaction)
    grep -q '^-- +goose NO TRANSACTION' "$file" && mode=()
    if ! out=$(cd "$up" && ${SQUAWK:-squawk} --config "$root/.squawk.toml" --reporter=gcc "${mode[@]}" "$name"); then
        echo "$out" >&2
        failed=1
    fi

    indexes=$(sed -nE 's/^CREATE (UNIQUE )?INDEX CONCURRENTLY (IF NOT EXISTS )?(\w+).*/\3/p' "$up/$name")
    [ -z "$indexes" ] && continue
    if [ "$(blocks "$up/$name")" != "$guard" ]; then
        complain "the two blocks around the builds are not those"
    fi
    if [ "$(wanted 1 "$up/$name")" != "$(wanted 2 "$up/$name")" ]; then
        complain "its two blocks want different indexes"
    fi
    for index in $indexes; do
        if ! wanted 1 "$up/$name" | grep -q "^('$index',"; then
            complain "its blocks do not name $index"
        fi
        if ! grep -B1 -E "^CREATE INDEX CONCURRENTLY IF NOT EXISTS $index( |$)" "$up/$name" |
            grep -qx "DROP INDEX CONCURRENTLY IF EXISTS ${index}_invalid;"; then
            complain "CREATE … IF NOT EXISTS $index does not follow on DROP … IF EXISTS ${index}_invalid"
        fi
    done
done
exit "$failed"

#!/usr/bin/env bash
# Lints the Up part of each goose migration in a folder (default schema) and exits 1 on any finding:
#   - squawk, told whether goose runs the file in a transaction
#   - our own rule: a concurrent build needs the step before it that moves an invalid leftover aside,
#     and the check after it that the index is valid
set -euo pipefail
dir=${1:-schema}
root=$(cd "$(dirname "$0")/.." && pwd)
up=$(mktemp -d)
trap 'rm -rf "$up"' EXIT
failed=0

for file in "$dir"/[0-9]*.sql; do
    name=$(basename "$file")
    # Line numbers stay those of the file.
    awk '/^-- \+goose Down/ { exit } { print }' "$file" > "$up/$name"

    mode=(--assume-in-transaction)
    grep -q '^-- +goose NO TRANSACTION' "$file" && mode=()
    if ! out=$(cd "$up" && ${SQUAWK:-squawk} --config "$root/.squawk.toml" --reporter=gcc "${mode[@]}" "$name"); then
        echo "$out" >&2
        failed=1
    fi

    for index in $(sed -nE 's/^CREATE (UNIQUE )?INDEX CONCURRENTLY (IF NOT EXISTS )?([a-z_0-9]+) ON .*/\3/p' "$up/$name"); do
        if ! grep -q "ALTER INDEX $index RENAME TO ${index}_invalid" "$up/$name" ||
            ! grep -q "DROP INDEX CONCURRENTLY IF EXISTS ${index}_invalid" "$up/$name" ||
            ! grep -q "indexrelid = to_regclass('$index') AND indrelid = to_regclass('tasks') AND indisvalid" "$up/$name"; then
            echo "$file: $index is built concurrently without the guard against an invalid leftover: see schema/00003_add_idx_task.sql" >&2
            failed=1
        fi
    done
done
exit "$failed"

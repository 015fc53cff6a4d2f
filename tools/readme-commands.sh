#!/usr/bin/env bash
# Runs the commands of the README, as pasted, on a database of its own (`make readme` provides DATABASE_URL):
# each ```sh block, then, on a table that somebody created by hand, the block that adopts it. `make test` and
# `make demo` are left to the targets of those names.
set -euo pipefail
commands=$(mktemp)
trap 'rm -f "$commands"' EXIT

for file in README.md README.zh-CN.md; do
    echo "--- $file"
    awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' "$file" | grep -v '^make \(demo\|test\)' >"$commands"
    bash -euxo pipefail "$commands"

    name=$(psql -XAtc 'SELECT current_database()' "$DATABASE_URL")
    bin/taskmigrate down --to 0 --confirm "$name" --allow-data-loss
    psql -Xq "$DATABASE_URL" -c 'DROP TABLE IF EXISTS tasks' # an adopted table outlives down
    sed '/+goose Down/,$d' schema/00001_create_tasks.sql | psql -Xq -v ON_ERROR_STOP=1 "$DATABASE_URL"
    awk '/^bin\/taskmigrate adopt / { on = 1 } /^```$/ { on = 0 } on' "$file" >"$commands"
    grep -q 'adopt --yes' "$commands"
    bash -euxo pipefail "$commands"
done

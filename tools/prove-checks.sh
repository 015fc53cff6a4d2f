#!/usr/bin/env bash
# Proves that the checks bite: plants one fault after another in a scratch copy and expects each check
# to turn red, and for the right reason. `make prove-checks` runs it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

# expect WORDS TARGET < PLANT: runs PLANT in a fresh copy, then `make TARGET`, which has to fail and to
# say WORDS (a regular expression).
expect() {
    local words=$1 target=$2 copy="$scratch/copy" out
    rm -rf "$copy" && mkdir "$copy"
    git -C "$root" ls-files -z --cached --others --exclude-standard |
        tar -C "$root" --null --ignore-failed-read -cT - | tar -C "$copy" -x
    (cd "$copy" && bash -eu) || { echo "BROKEN  the plant for '$words' does not apply"; failed=1; return; }
    if out=$(cd "$copy" && make "$target" 2>&1); then
        echo "GREEN   make $target did not see: $words"; failed=1
    elif ! grep -qE -- "$words" <<<"$out"; then
        echo "OTHER   make $target failed without saying: $words"; tail -5 <<<"$out"; failed=1
    else
        echo "red     make $target: $words"
    fi
}

# query NAME KIND SQL: adds a query.
query='query() {
    printf -- "\n-- name: %s :%s\n%s\n" "$1" "$2" "$3" > queries/planted.sql
    go tool -modfile=tools/go.mod sqlc generate
}'

expect change-needs-where verify <<<"$query; query Planted exec 'DELETE FROM tasks;'"
expect list-needs-bound verify <<<"$query; query Planted many 'SELECT * FROM tasks WHERE user_id = @u ORDER BY id;'"
expect no-offset verify <<<"$query; query Planted many 'SELECT * FROM tasks ORDER BY id LIMIT 10 OFFSET @skip::int;'"
expect update-raises-version verify <<<"$query; query Planted exec 'UPDATE tasks SET argument = @a WHERE id = @id;'"
expect pending-is-literal verify <<<"$query
query ClaimPlanted many 'SELECT * FROM tasks WHERE status = @st ORDER BY id LIMIT 10;'"
expect 'dbgen/read.sql.go' verify <<'EOT' # stale generated code
sed -i 's/ORDER BY id DESC/ORDER BY id/' queries/read.sql
EOT
expect 'require-concurrent-index-creation' lint-sql <<'EOT'
printf -- '-- +goose Up\nCREATE INDEX planted ON tasks (argument);\n-- +goose Down\n' > schema/00099_planted.sql
EOT
expect 'constraint-missing-not-valid' lint-sql <<'EOT'
cat > schema/00099_planted.sql <<'SQL'
-- +goose Up
ALTER TABLE tasks ADD CONSTRAINT c CHECK (id > 0) NOT VALID;
ALTER TABLE tasks VALIDATE CONSTRAINT c;
-- +goose Down
SQL
EOT
expect 'ban-drop-column' lint-sql <<'EOT'
printf -- '-- +goose Up\nALTER TABLE tasks DROP COLUMN argument;\n-- +goose Down\n' > schema/00099_planted.sql
EOT
expect 'the two blocks around the builds are not those' lint-sql <<'EOT'
cat > schema/00099_planted.sql <<'SQL'
-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY IF NOT EXISTS planted ON tasks (argument);
-- +goose Down
SQL
EOT
expect 'blocks want different indexes' lint-sql <<'EOT'
sed -i "0,/('idx_status', /s/btree/hash/" schema/00011_restore_indexes.sql
EOT
expect 'IF NOT EXISTS idx_status does not follow on DROP' lint-sql <<'EOT'
sed -i '/^DROP INDEX CONCURRENTLY IF EXISTS idx_status_invalid/d' schema/00011_restore_indexes.sql
EOT
expect 'do not name idx_task_too' lint-sql <<'EOT'
sed -i 's/EXISTS idx_task\(_invalid\)\?\b/EXISTS idx_task_too\1/' schema/00003_add_idx_task.sql
EOT
expect 'plans.md' plans-check <<'EOT' # a stale plan book
sed -i 's/Index Scan/Seq Scan/' docs/plans.md
EOT
expect 'idx_tasks_pending' plans-check <<'EOT' # a dropped index
sed -i 's/^-- +goose Down/DROP INDEX idx_tasks_pending;\n&/' schema/00013_add_task_keys.sql
EOT
# as make site: without a browser nobody looks
[ ! -e "${CHROMIUM:-/usr/bin/chromium}" ] || expect 'color contrast' site <<'EOT'
printf '.vp-doc p { color: gray }' >>docs/.vitepress/theme/custom.css
EOT
exit "$failed"

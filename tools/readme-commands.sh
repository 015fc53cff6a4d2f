#!/usr/bin/env bash
# The newcomer's path. In a fresh copy of the repository, on an empty database of its own (`make readme` provides
# DATABASE_URL), it runs the commands of the README, of docs/migrate.md, docs/report.md and docs/start.md as pasted:
# from nothing, then on a table that somebody made by hand, to a worker in a new module that does that table's tasks.
# `make demo` is left to the target of that name. Beyond compiling, all of it takes less than three minutes.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/tasks" && cd "$scratch/tasks"
git -C "$root" ls-files -z --cached --others --exclude-standard |
    tar -C "$root" --null --ignore-failed-read -cT - | tar -x

# commands PAGE HEADING...: the ```sh blocks under these headings. A ```go block of theirs is saved as main.go.
commands() {
    local page=$1 heading
    shift
    for heading; do
        awk -v heading="## $heading" '
            /^## / { here = $0 == heading }
            here && /^```sh$/ { on = 1; next }
            here && /^```go$/ { on = go = 1; print "cat >main.go <<\"EOF\""; next }
            /^```$/ { if (go) print "EOF"; on = go = 0 }
            on' "$page" | grep . || { echo "$page has no commands under $heading" >&2; exit 1; }
    done
}

# at_work runs the service in this folder until no task is left, and ends it as Ctrl-C does.
at_work() {
    { set +x; } 2>/dev/null
    go build -o service .
    set -m # or the service would ignore the signal
    ./service >said &
    local open=
    for ((try = 0; try < 600; try++)); do
        open=$(psql -XAtc 'SELECT count(*) FROM tasks WHERE status <> 2' "$DATABASE_URL")
        [ "$open" != 0 ] || break
        sleep 0.1
    done
    kill -INT %1
    wait %1
    head -3 said
    [ "$open" = 0 ] || { echo "the service left $open tasks undone" >&2; exit 1; }
}
export -f at_work

run() { bash -euxo pipefail; }
step() { printf '\n--- %s (at %d s)\n' "$1" "$SECONDS"; }

go build ./cmd/... ./examples/worker # into Go's cache
SECONDS=0

step 'README: quick start'
commands README.md 'Quick start' | grep -v '^make demo' | run

step 'README: a table that exists'
name=$(psql -XAtc 'SELECT current_database()' "$DATABASE_URL")
bin/taskmigrate down --to 0 --confirm "$name" --allow-data-loss
{
    sed '/+goose Down/,$d' schema/00001_create_tasks.sql
    cat <<'SQL' # as GORM writes times: in seconds
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, created_at, updated_at)
SELECT 1, 2, 3, 4, 5, n::text, extract(epoch FROM now())::bigint, extract(epoch FROM now())::bigint
FROM generate_series(1, 1000) AS n;
SQL
} | psql -Xq -v ON_ERROR_STOP=1 "$DATABASE_URL"
commands README.md 'A table that exists' | run

step 'docs/migrate.md and docs/report.md'
sed -n '/^```sh$/,/^```$/{/^```/!p}' docs/migrate.md docs/report.md | PATH="$PWD/bin:$PATH" run

# The new module gets this copy, and what that requires from Go's cache: nothing of it need be published yet.
step 'docs/start.md: a worker'
GOPROXY=file://$(go env GOMODCACHE)/cache/download
export GOPROXY GOSUMDB=off
commands docs/start.md 'The database' 'Your service' | sed \
    -e "/^go mod init /a go mod edit -replace github.com/tasklane/tasks=$PWD" \
    -e 's/^go run \..*/at_work/' | run

step 'done'
((SECONDS < 180)) || { echo 'a newcomer should be there within three minutes' >&2; exit 1; }

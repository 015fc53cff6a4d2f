#!/usr/bin/env bash
# Runs the tests that need a database against containers of a real Docker engine.
#
#   tools/docker-test.sh [--install] [ARGUMENT OF GO TEST...]     default: the packages below
#
# If an engine answers, the script uses it, with the image that TASKSTORE_TEST_POSTGRES_IMAGE names, else a
# postgres image that the engine has, else one that it pulls. If none answers, root on Debian or Ubuntu gets a
# private one: a dockerd in namespaces of its own, on a memory file system. However the script ends, its
# processes, network, firewall rules and containers end with it. Its image is the distribution's own
# PostgreSQL, made once by debootstrap and kept in a cache outside the repository. --install lets the script
# install what that needs.
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
    echo "docker-test: $*" >&2
    exit 1
}

cgroup=taskstore-docker-test
install=false
inside=false
case ${1-} in
--install) install=true && shift ;;
--inside) inside=true && shift ;; # this script's call of itself in the namespaces
esac
[ $# -gt 0 ] || set -- ./internal/pgserver ./taskstoretest ./internal/storetest/work ./cmd/taskmigrate

suite() {
    echo "docker-test: engine $(docker version --format '{{.Server.Version}}')," \
        "image ${TASKSTORE_TEST_POSTGRES_IMAGE:-chosen by the tests}"
    TASKSTORE_TEST_POSTGRES=docker go test -count=1 "$@"
}

# engine runs the suite on a dockerd of its own. Everything here is in namespaces that end with it.
engine() {
    mount -t tmpfs -o mode=755 tmpfs /run
    ip link set lo up
    export DOCKER_HOST=unix:///run/docker.sock
    dockerd --host "$DOCKER_HOST" --data-root /run/docker-data \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$cgroup" >/run/dockerd.log 2>&1 &
    dockerd=$!
    trap stop EXIT
    until docker version >/dev/null 2>&1; do
        kill -0 "$dockerd" 2>/dev/null || { tail -n 20 /run/dockerd.log >&2 && die "dockerd did not start"; }
        sleep 0.2
    done
    docker import --change 'ENTRYPOINT ["/entrypoint.sh"]' --change 'CMD ["postgres"]' --change 'EXPOSE 5432' \
        "$rootfs" "$TASKSTORE_TEST_POSTGRES_IMAGE" >/dev/null
    # Out here is no network; the modules are there already.
    GOPROXY=off suite "$@"
}

# stop lets the engine end in order. Its control groups are the one thing that no namespace holds.
stop() {
    kill "$dockerd" 2>/dev/null || true
    wait "$dockerd" || true
    find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null || true
}

# make_rootfs makes the image's files from the distribution's packages, by the machine's own mirror.
make_rootfs() {
    local codename=$1 tmp mirror
    # shellcheck disable=SC2016 # apt's variables
    mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v name="$codename" '$1 == name && $2 == "main" { print $3; exit }')
    [ -n "$mirror" ] || die "apt has no source of $codename main"
    mkdir -p "$(dirname "$rootfs")"
    tmp=$(mktemp -d "$rootfs.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    echo "docker-test: making an image of $codename's PostgreSQL, once"
    # In namespaces too, so that no mount and no process of a package's scripts is left.
    unshare --mount --pid --fork --kill-child --mount-proc \
        debootstrap --variant=minbase --include=postgresql "$codename" "$tmp/root" "$mirror" >"$tmp/log" ||
        { tail -n 20 "$tmp/log" >&2 && die "debootstrap failed"; }
    rm -rf "$tmp"/root/var/{cache/apt/archives,lib/apt/lists,lib/postgresql}/* "$tmp/root/etc/apt/sources.list"
    cat >"$tmp/root/entrypoint.sh" <<'SH'
#!/bin/sh
# What the official image's entrypoint makes of POSTGRES_PASSWORD, and no more.
set -eu
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
PGDATA=/var/lib/postgresql/data
export PATH PGDATA
postgres="setpriv --reuid=postgres --regid=postgres --init-groups"
cd /
install -d -o postgres -g postgres /var/run/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    install -o postgres -m 600 /dev/null /tmp/password
    printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
    $postgres initdb --username=postgres --pwfile=/tmp/password --auth=scram-sha-256 --locale=C.UTF-8
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
fi
exec $postgres "$@"
SH
    chmod 755 "$tmp/root/entrypoint.sh"
    tar -C "$tmp/root" -cf "$tmp/tar" .
    mv "$tmp/tar" "$rootfs"
    rm -rf "$tmp"
    trap - EXIT
}

if $inside; then
    engine "$@"
    exit
fi

if docker version >/dev/null 2>&1; then
    here=$(docker image ls --filter 'reference=postgres:*' --format '{{.Repository}}:{{.Tag}}' | head -n 1)
    image=${TASKSTORE_TEST_POSTGRES_IMAGE:-$here}
    [ -z "$image" ] || export TASKSTORE_TEST_POSTGRES_IMAGE=$image
    suite "$@"
    exit
fi

[ -z "${TASKSTORE_TEST_POSTGRES_IMAGE-}" ] ||
    die "no Docker engine answers, so nothing can run $TASKSTORE_TEST_POSTGRES_IMAGE"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    die "no Docker engine answers; start one, or run this as root on Debian or Ubuntu"
fi
missing=
for program in dockerd:docker.io docker:docker.io debootstrap:debootstrap ip:iproute2; do
    command -v "${program%:*}" >/dev/null || missing="$missing ${program#*:}"
done
if [ -n "$missing" ]; then
    $install || die "no Docker engine answers; to run a private one, install:$missing (or give --install)"
    # shellcheck disable=SC2086 # several words
    (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y $missing) >/dev/null
fi

# shellcheck disable=SC1091 # the system's own
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
export rootfs=/var/cache/taskstore-postgres/docker-$codename.tar
export TASKSTORE_TEST_POSTGRES_IMAGE=taskstore-test-postgres:$codename
[ -s "$rootfs" ] || make_rootfs "$codename"
go list -deps -test "$@" >/dev/null # fetches the modules
exec unshare --mount --net --pid --fork --kill-child --mount-proc "$0" --inside "$@"

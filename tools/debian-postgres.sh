#!/usr/bin/env bash
# Prints a directory with all programs of a PostgreSQL version, pg_dump and pg_upgrade among them, from the packages of
# the Debian release that has it. The programs are only unpacked, into a cache outside the repository: they run on
# another release too, because they bring their own libraries.
#
#   tools/debian-postgres.sh VERSION          17 or 18
#
# It needs apt, dpkg and patchelf. Debian has no other version that this machine's own release lacks.
set -euo pipefail

case $1 in
17) release=trixie ;;
18) release=forky ;;
*) echo "Debian has no release with PostgreSQL $1" >&2 && exit 1 ;;
esac

cache=${XDG_CACHE_HOME:-$HOME/.cache}
# The server does not run as root, and what runs it may not enter root's home.
[ "$(id -u)" != 0 ] || cache=/var/cache
dir=$cache/taskstore-postgres/debian-$1
bin=$dir/usr/lib/postgresql/$1/bin
if [ -x "$bin/pg_upgrade" ]; then
    echo "$bin"
    exit
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"/{state,lists/partial,archives/partial,root} "$cache/taskstore-postgres"
: >"$tmp/state/status" # apt takes nothing for installed
# shellcheck disable=SC2016 # apt's variables
mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v name="$(. /etc/os-release && echo "$VERSION_CODENAME")" '$1 == name && $2 == "main" { print $3; exit }')
[ -n "$mirror" ] || { echo "apt has no source of Debian" >&2 && exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$tmp/sources.list"
from_release() {
    apt-get -qq -o Dir::Etc::SourceList="$tmp/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State="$tmp/state" \
        -o Dir::State::Lists="$tmp/lists" -o Dir::State::status="$tmp/state/status" \
        -o Dir::Cache::Archives="$tmp/archives" -o Acquire::Languages=none -o APT::Sandbox::User=root "$@" >&2
}
from_release update
from_release install --yes --no-install-recommends --download-only "postgresql-$1"
for package in "$tmp"/archives/{postgresql,lib,zlib}*.deb; do
    case $package in
    */libllvm* | */libperl* | */*-perl_*) ;; # for compiled expressions and for scripts
    *) dpkg --extract "$package" "$tmp/root" ;;
    esac
done

# The programs take the release's own libraries, at the place where they will be.
libraries=$(cd "$tmp/root" && dirname "$(find . -name 'ld-linux*' -path '*-linux-gnu*' | head -n 1)")
loader=$(cd "$tmp/root/$libraries" && echo ld-linux*)
libraries=$dir/${libraries#./}
for program in "$tmp/root/usr/lib/postgresql/$1/bin"/*; do
    patchelf --set-interpreter "$libraries/$loader" --force-rpath --set-rpath "$libraries" "$program"
done
chmod 755 "$tmp/root"
rm -rf "$dir"
mv "$tmp/root" "$dir"
echo "$bin"

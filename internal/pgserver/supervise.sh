# Owns one throwaway cluster from its first file to its last, and the standbys that tests put beside it.
# usage: sh -c SCRIPT NAME BINDIR SETTINGS DIRECTORY...
#
# Standard input is a pipe whose other end is open only in the process that started this script. Its first line
# is the superuser's password. When it ends, that process has ended, and the cluster is stopped and removed.
# Standard output is either "ready DIRECTORY" or what went wrong.
umask 077
exec 2>&1
trap '' PIPE
bin=$1 settings=$2 dir=
shift 2

finish() {
	trap '' HUP INT TERM
	[ -z "$dir" ] && exit
	for data in "$dir"/*/; do
		"$bin/pg_ctl" stop -D "$data" -m immediate -w >/dev/null
	done
	# If the server itself was killed, its other processes may write for another moment.
	for _ in 1 2 3 4 5; do
		rm -rf "$dir" 2>/dev/null && exit
		sleep 1
	done
	exit 4
}

fail() {
	tail -n 20 "$dir/log"
	exit 1
}

trap finish EXIT
trap 'exit 1' HUP INT TERM

IFS= read -r password || exit 1
for dir; do
	mkdir "$dir" && break
	dir=
done
[ -n "$dir" ] || exit 1

# printf is a builtin, so no list of processes shows the password.
printf '%s\n' "$password" >"$dir/password"
"$bin/initdb" -D "$dir/data" --username=postgres --pwfile="$dir/password" --auth=scram-sha-256 \
	--encoding=UTF8 --locale=C --no-sync >"$dir/log" || fail
rm "$dir/password"
printf '%s\n' "$settings" >>"$dir/data/postgresql.conf"
"$bin/pg_ctl" start -D "$dir/data" -l "$dir/log" -w </dev/null >/dev/null || fail

echo "ready $dir"
while read -r _; do :; done
exit 0

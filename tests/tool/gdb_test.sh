#!/usr/bin/env bash
# gdb_test.sh EXTENSION LOAD: the commands of the extension tell of a standing pool what is known of it, in the live process and
# in its core file alike, and their mistakes are sentences. 77: there is no gdb, or it may not attach here.
set -euo pipefail
extension=$1 load=$2
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT

skip() {
    echo "skipped: $*"
    exit 77
}
command -v gdb >/dev/null || skip "there is no gdb"
gdb -batch -ex 'python print("works")' 2>/dev/null | grep -q works || skip "this gdb has no Python"

mkfifo "$dir/said"
"$load" 120 still >"$dir/said" &
pid=$!
read -r line <"$dir/said"
[ "$line" = ready ]

commands=(-ex "source $extension" -ex 'echo ==\n' -ex 'numapool pools' -ex 'numapool shards 1'
    -ex 'numapool backlog' -ex 'numapool backlog 1 all' -ex 'numapool workers')
gdb -batch -nx -p "$pid" "${commands[@]}" -ex "generate-core-file $dir/core" >"$dir/live" 2>"$dir/err" || true
if grep -qi 'ptrace: Operation not permitted' "$dir/live" "$dir/err"; then
    skip "gdb may not attach to a process here"
fi
gdb -batch -nx "$load" "$dir/core" "${commands[@]}" >"$dir/dead" 2>>"$dir/err"

# Numbers of threads are gdb's own and differ between the two.
for what in live dead; do
    sed -n '/^==$/,$p' "$dir/$what" | grep -E '^ *(pool|1 load|[0-9=]|run|refused)|^  ' |
        sed 's/thread [0-9?]* //' >"$dir/$what.told"
done
diff "$dir/live.told" "$dir/dead.told" || { echo "the core file says something else"; exit 1; }

expect() {
    local count
    count=$(grep -cE -- "$2" "$dir/dead.told" || true)
    if [ "$count" != "$1" ]; then
        echo "$count lines like '$2', expected $1:"
        cat "$dir/dead" "$dir/err"
        exit 1
    fi
}
expect 1 '^ +1 load +open +1 +2 +3 +1 +5 +0x[0-9a-f]+$'
expect 1 'pool 1 shard 0, node 0: 5 of 100 wait \(critical 1, normal 4, sheddable 0\); quota 2, cap 2, limit 2, active 2, searching 0, threads 3$'
expect 1 '^  run 0, dropped 0, forwarded in 0 out 0, stolen in 0 out 0, stuck 0$'
expect 1 '^  refused: full 0, shed 0, deadline 0, bytes 0, other 0$'
expect 1 '^pool 1 shard 0 critical: 1 x load_work, the oldest submitted [0-9.]+ s ago$'
expect 1 '^pool 1 shard 0 normal: 4 x load_work, the oldest submitted [0-9.]+ s ago$'
expect 1 '^pool 1 shard 0 critical: load_work arg 0x1000, submitted [0-9.]+ s ago$'
expect 3 '^pool 1 shard 0 normal: load_work arg 0x[234]000, submitted [0-9.]+ s ago$'
expect 1 '^pool 1 shard 0 normal: load_work arg 0x5000, submitted 0.000 s ago, drop ok$'
expect 2 '^pool 1 shard 0 worker [0-9], \(LWP [0-9]+\): runs load_stuck, begun [0-9.]+ s ago; run 0, dropped 0$'
expect 1 '^pool 1 shard 0 worker [0-9], \(LWP [0-9]+\): waits inside load_waits, begun [0-9.]+ s ago; run 0, dropped 0$'

# Mistakes, and a program without a pool.
gdb -batch -nx "$load" "$dir/core" -ex "source $extension" -ex 'numapool shards 7' -ex 'numapool workers one' \
    -ex 'numapool backlog 1 2' >"$dir/dead.told" 2>&1 || true
expect 1 'there is no pool 7; there are: 1$'
expect 1 "'one' is no number of a pool"
expect 1 'usage: numapool backlog'
gdb -batch -nx /bin/true -ex "source $extension" -ex 'numapool pools' >"$dir/dead.told" 2>&1 || true
expect 1 'has no debug information'
echo "pools, shards, backlog and workers told of a process and of its core file"

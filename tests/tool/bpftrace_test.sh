#!/usr/bin/env bash
# bpftrace_test.sh SCRIPTS LOAD LIBRARY: each script attaches to a process with a loaded pool, and what it prints is what
# the load does. 77: cannot be traced here, and why.
set -euo pipefail
scripts=$1 load=$2 library=$3
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT

skip() {
    echo "skipped: $*"
    exit 77
}
command -v bpftrace >/dev/null || skip "there is no bpftrace"
[ "$(id -u)" = 0 ] || skip "bpftrace needs root"
bpftrace -e 'BEGIN { exit(); }' >"$dir/try" 2>&1 || skip "bpftrace may not trace here: $(tail -1 "$dir/try")"
built=$(readelf --notes --wide "$library" | awk '/Provider: numapool/ { ours = 1 } ours && /Name:/ { print $2; ours = 0 }' | sort -u)

"$load" 120 >/dev/null &
pid=$!
tried=0
for script in "$scripts"/*.bt; do
    name=$(basename "$script" .bt)
    wanted=$(grep -o 'usdt:\*:numapool:[a-z]*' "$script" | sed 's/.*://' | sort -u)
    missing=$(comm -23 <(echo "$wanted") <(echo "$built"))
    if [ -n "$missing" ]; then
        echo "$name: not tried, the library lacks" $missing
        continue
    fi
    # Ended as a person ends it, once it has seen something.
    status=0
    timeout --signal=INT --kill-after=30 4 bpftrace -p "$pid" "$script" >"$dir/out" 2>"$dir/err" || status=$?
    if grep -q 'uprobe_events' "$dir/err" && ! grep -q '[0-9]' "$dir/out"; then
        skip "the kernel gives no probes in programs: $(head -1 "$dir/err")"
    fi
    if ! grep -q 'Attaching' "$dir/out" || grep -qE '^(stdin|.*\.bt):[0-9]+.*ERROR' "$dir/err"; then
        echo "$name: $(cat "$dir/out" "$dir/err")"
        exit 1
    fi
    # Every one of them prints numbers of this load.
    sed 1d "$dir/out" >"$dir/said" # a file: sed would be ended by a grep that has seen enough
    if ! grep -qE '[0-9]' "$dir/said"; then
        echo "$name saw nothing: $(cat "$dir/out" "$dir/err")"
        exit 1
    fi
    echo "$name: $(grep -m1 -E '[0-9]' "$dir/said")"
    tried=$((tried + 1))
done
kill -0 "$pid" # the traced program has not suffered
[ "$tried" -ge 3 ] || { echo "only $tried scripts could be tried"; exit 1; }

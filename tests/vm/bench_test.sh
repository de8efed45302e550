#!/bin/bash
# bench_test.sh BENCH: the questions of numapool-bench that need several nodes, asked in the emulated machine of
# four. Whether they find their nodes and give figures for each pair; what the figures are says nothing here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/t"
cp "$1" "$work/t/"
cat >"$work/t/run.sh" <<'END'
./numapool-bench --compare --quick --rounds 1 --benchmark_min_time=0.01 --only '^(nodes|sockets)' </dev/null 2>/tmp/said || cat /tmp/said
END
status=0
"$here/run.sh" square 500 "$work/t" >"$work/out" || status=$?
cat "$work/out"
[ "$status" = 0 ] || exit "$status"
for figure in submit_ns round_trip_ns chase_ns stream_gb_per_s; do
    awk -v figure="$figure" '
        $1 == "nodes:" { on = $2 == figure "," ; row = 0; next }
        on && NF == 5 && $1 == row && $0 !~ /-/ { row++; if (row == 4) found = 1 }
        END { exit !found }' "$work/out" || { echo "no matrix of $figure"; exit 1; }
done
[ "$(grep -c '^  \(sharded\|single\|processes\) ' "$work/out")" = 12 ] || { echo "sockets: not 3 of 4"; exit 1; }

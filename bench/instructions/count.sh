#!/usr/bin/env bash
# What a task costs in instructions, which no noise of a machine changes:
#   count.sh PROGRAM             prints the table
#   count.sh PROGRAM EXPECTED    compares it with a committed one: 3 % off fails
# Each step is run with two counts under callgrind, all threads counted; what differs is the steps. The
# column "submitter" is what the calling thread spent inside the library's call, "atomic" the
# read-modify-writes and fences of both sides (instructions with a lock prefix, xchg with memory, mfence).
# A program that the machine holds up for most of a second is met by the control thread's tick, so a row that is
# off is counted again, up to five times.
# The round trip depends on when threads of valgrind take turns: it is told and not compared.
# Exit status 77: cannot be counted here, and why.
set -euo pipefail
program=$1
expected=${2:-}
few=1024
many=5120
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

skip() {
    echo "skipped: $*"
    exit 77
}
for tool in valgrind objdump; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done
[ "$(uname -m)" = x86_64 ] || skip "the figures are of x86_64"

# Addresses of instructions that lock. The program is linked at a fixed place.
objdump -d --no-show-raw-insn "$program" |
    awk '$2 == "lock" || $2 == "mfence" || ($2 == "xchg" && /\(/) { sub(":", "", $1); print "0x" $1 }' \
        >"$dir/locks"

# callgrind with one step and count: instructions of all, of the call, and locked ones.
collect() {
    local step=$1 count=$2 call=$3
    valgrind --tool=callgrind --callgrind-out-file="$dir/all" --dump-instr=yes --compress-pos=no \
        --compress-strings=no "$program" "$step" "$count" >/dev/null 2>"$dir/log" ||
        { cat "$dir/log"; exit 1; }
    local all call_count locked
    all=$(awk '/^summary:|^totals:/ { n = $2 } END { print n }' "$dir/all")
    locked=$(awk 'NR == FNR { lock[$1] = 1; next }
        /^calls=/ { skip = 1; next }
        /^0x/ { if (skip) { skip = 0; next } if ($1 in lock) n += $3 } END { print n + 0 }' \
        "$dir/locks" "$dir/all")
    call_count=0
    if [ "$call" != - ]; then
        valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="$call" \
            "$program" "$step" "$count" >/dev/null 2>"$dir/log"
        call_count=$(awk '/Collected/ { print $NF }' "$dir/log")
    fi
    echo "$all $call_count $locked"
}

same_compiler() {
    [ "$(head -n 1 "$expected")" = "# $COMPILER" ]
}

# What of a row is off the committed one, a line for each.
is_off() {
    awk 'NR == FNR { if ($1 != "#") for (i = 2; i <= 4; i++) want[$1, i] = $i; next }
        $1 != "step" && ($1, 2) in want { for (i = 2; i <= 4; i++) {
            w = want[$1, i]; off = $i - w; if (off < 0) off = -off
            # A few instructions in a hundred steps are no change, however small the figure.
            if (off > 0.03 * w + 0.05)
                printf "%s: %s is %s, committed %s\n", $1, i == 2 ? "total" : i == 3 ? "submitter" : "atomic", $i, w
        } }' "$expected" -
}

measure() {
    local row
    row=$(count "$@")
    if [ -n "$expected" ] && same_compiler; then
        for _ in 1 2 3 4; do
            [ -n "$(is_off <<<"$row")" ] || break
            row=$(count "$@")
        done
    fi
    echo "$row"
}

count() {
    local step=$1 call=$2
    read -r all_few call_few locked_few <<<"$(collect "$step" "$few" "$call")"
    read -r all_many call_many locked_many <<<"$(collect "$step" "$many" "$call")"
    awk -v n=$((many - few)) -v a=$((all_many - all_few)) -v c=$((call_many - call_few)) \
        -v l=$((locked_many - locked_few)) -v step="$step" \
        'BEGIN { printf "%-12s %10.1f %10.1f %8.2f\n", step, a / n, c / n, l / n }'
}

{
    printf '%-12s %10s %10s %8s\n' step total submitter atomic
    measure submit numapool_submit
    measure submit_task numapool_submit_task
    measure member numapool_submit_task
    measure batch numapool_submit_batch
    measure refuse numapool_submit
    measure round_trip numapool_submit
    measure alloc_free -
    measure scratch -
} | tee "$dir/table"

[ -n "$expected" ] || exit 0
same_compiler || skip "the committed figures are of $(head -n 1 "$expected"), this is $COMPILER"
off=$(is_off <"$dir/table")
[ -z "$off" ] || { echo "$off"; echo "if the change is meant: count.sh PROGRAM, and the table into $expected"; exit 1; }

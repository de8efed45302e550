#!/usr/bin/env bash
# Everything src/queue/README.md says about rings, measured again: builds the release preset, runs
# numapool-ring-compare and, where valgrind is installed, counts instructions. Options go to
# numapool-ring-compare.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."

program=${RING_COMPARE:-build/release/bench/ring/numapool-ring-compare}
if [ -z "${RING_COMPARE:-}" ]; then
    cmake --preset release >/dev/null
    cmake --build --preset release --target numapool-ring-compare >/dev/null
fi
"$program" "$@"

command -v valgrind >/dev/null || { echo "valgrind is not installed: no instruction counts"; exit 0; }

# Instructions per call inside a function, of so many calls. callgrind reports what it collected.
count() {
    local calls=$1 function=$2
    shift 2
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="$function*" \
        "$program" --steps "$@" 2>&1 |
        awk -v calls="$calls" '/Collected/ { printf "%10.1f", $NF / calls }'
}

printf '\ninstructions a call, one thread (a wrapper of about five included)\n'
printf '  %-10s%10s%10s%18s\n' contender push pop 'push, stopped'
for contender in claim shard sequence index; do
    stopped='   refuses'
    [ "$contender" = claim ] || stopped=$(count 256 step_push "$contender" --stopped)
    printf '  %-10s%10s%10s%18s\n' "$contender" "$(count 10000 step_push "$contender")" \
        "$(count 10000 step_pop "$contender")" "$stopped"
done

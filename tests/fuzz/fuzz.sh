#!/usr/bin/env bash
# Searches with libFuzzer; `./dev fuzz` calls it. Starts from the committed inputs and from what
# earlier searches have left in build/fuzz/found, and fails when a search stops at a finding.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."

usage() {
    cat <<'END'
usage: ./dev fuzz [--seconds N] [--merge] [TARGET...]
  --seconds N  search for so long with each target (60)
  --merge      search no further; replace the committed inputs by the fewest of all that reach as much
  TARGET       config env cpulist quantity synthetic xml plan; all of them if none is named
END
}

seconds=60 merge=
targets=()
while [ $# -gt 0 ]; do
    case $1 in
    --seconds)
        [[ ${2:-} =~ ^[0-9]+$ ]] || { usage >&2; exit 2; }
        seconds=$2
        shift
        ;;
    --merge) merge=1 ;;
    --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *)
        [ -r "tests/fuzz/$1_fuzz.c" ] || { usage >&2; exit 2; }
        targets+=("$1")
        ;;
    esac
    shift
done
if [ ${#targets[@]} = 0 ]; then
    for source in tests/fuzz/*_fuzz.c; do
        targets+=("$(basename "$source" _fuzz.c)")
    done
fi

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target "${targets[@]/#/fuzz_}"

# Which of the inputs a target has reached what with, and what it said, in a folder of its own.
root=$PWD failed=0
for name in "${targets[@]}"; do
    program=$root/build/fuzz/tests/fuzz/fuzz_$name committed=$root/tests/fuzz/corpus/$name
    start=("$committed")
    [ ! -d "$root/tests/fuzz/found/$name" ] || start+=("$root/tests/fuzz/found/$name")
    folder=$root/build/fuzz/found/$name
    mkdir -p "$folder/inputs"
    cd "$folder"
    if [ -n "$merge" ]; then
        rm -rf merged
        mkdir merged
        "$program" -set_cover_merge=1 -use_counters=0 -close_fd_mask=3 -rss_limit_mb=3000 merged "$committed" inputs >log 2>&1
        rm -rf "$committed"
        mv merged "$committed"
        printf '%-10s %s inputs, %s\n' "$name" "$(find "$committed" -type f | wc -l)" \
            "$(du -sh --apparent-size "$committed" | cut -f1)"
        continue
    fi
    options=(-max_total_time="$seconds" -timeout=30 -rss_limit_mb=3000 -print_final_stats=1)
    [ ! -r "$root/tests/fuzz/dictionary/$name.dict" ] ||
        options+=(-dict="$root/tests/fuzz/dictionary/$name.dict")
    outcome='no finding'
    if ! "$program" "${options[@]}" inputs "${start[@]}" >log 2>&1; then
        outcome="FINDING, see $folder/log"
        failed=1
    fi
    printf '%-10s %s executions, %s edges, %s\n' "$name" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' log)" \
        "$(grep -ao 'cov: [0-9]*' log | tail -1 | cut -d' ' -f2)" "$outcome"
done
exit $failed

#!/usr/bin/env bash
# Valgrind's memcheck over the unit tests and a part of the public ones: no error, no block that is
# definitely lost, in no process. Called by ./dev memcheck; options go to ctest. BUILD_DIR is where it
# builds; `build/memcheck` if it is not set.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."
dir=${BUILD_DIR:-build/memcheck}
logs=$PWD/$dir/memcheck
[[ $dir != /* ]] || logs=$dir/memcheck

# Left out, since valgrind runs one thread at a time and takes twenty times as long: threads that race by
# the thousand (ring_threads, shard_threads, wake, growth, stress, history), counts of instructions or of
# time slices (submit_path, rest), ten thousand random plans; the kernel's answer to more address space
# than there is (pages: valgrind gives its own); stepping by the trap flag (shard_steps); and what builds
# programs of its own.
leave_out='shard_steps|unit/pages_test|ring_threads|shard_threads|wake_test|growth|rest_test|submit_path|stress|history|consumer|readme|document|plan_random'
# Of the public ones these suffice for every path of a task; the others wait for idle times, end threads and
# processes on purpose or count what valgrind changes.
public='submit|group|block|end'

cmake -S . -B "$dir" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG='-O1 -g' -DNUMAPOOL_DEV=ON \
    -DNUMAPOOL_BUILD_BENCH=OFF -DNUMAPOOL_BUILD_EXAMPLES=OFF
cmake --build "$dir"
rm -rf "$logs"
mkdir -p "$logs"
failed=0
while read -r name program; do
    # Scheduling in turn: else a thread that spins may keep the one that it waits for from running.
    if timeout 600 valgrind --quiet --fair-sched=yes --error-exitcode=99 --leak-check=full \
        --show-leak-kinds=definite --errors-for-leak-kinds=definite --trace-children=no \
        --suppressions=tests/gates/memcheck.supp --log-file="$logs/$name.%p" "$program" >"$logs/$name.out" 2>&1; then
        echo "clean   $name"
    else
        rc=$?
        if [ $rc = 77 ]; then
            echo "skipped $name: $(tail -n 1 "$logs/$name.out")"
        else
            echo "FAILED  $name, exit $rc; $logs/$name.*"
            tail -n 5 "$logs/$name.out"
            failed=1
        fi
    fi
done < <(ctest --test-dir "$dir" --show-only=json-v1 -L '^(unit|public)$' -R "^unit/|^public/($public)_contract$" -E "$leave_out" "$@" |
    python3 -c 'import json, sys
for test in json.load(sys.stdin)["tests"]:
    print(test["name"].split("/")[-1], test["command"][0])')
# A child of a test that ends by itself has its own log, and its own exit status that nobody looks at.
if grep -lE 'ERROR SUMMARY: [1-9]|definitely lost|Invalid (read|write|free)|uninitialised' "$logs"/*.[0-9]*; then
    failed=1
fi
exit $failed

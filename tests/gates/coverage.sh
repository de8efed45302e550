#!/usr/bin/env bash
# Which lines and branches of src/ and topology/ the tests run, with the bounds that have to hold and
# every line that none of them reaches. Called by ./dev coverage; options go to ctest.
# BUILD_DIR is where it builds; `build/coverage` if it is not set.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."
dir=${BUILD_DIR:-build/coverage}
lines_percent=95
branches_percent=85

cmake --preset coverage -B "$dir"
cmake --build "$dir"
# Counts of an earlier run would be added to.
find "$dir" -name '*.gcda' -delete

# Tests of an installation and of documents run code of other builds, or none. The long history is many times
# as slow with counters, and runs the same lines.
tests_failed=0
NPI_HISTORY_OPERATIONS=1e6 \
ctest --test-dir "$dir" --output-on-failure --no-tests=error \
    -L '^(unit|sim|stress|public|badconf|fault|soak|model|fuzz|tool)$' -E 'consumer|readme|document' "$@" ||
    tests_failed=1

# A process that is killed, or forks beside threads, may leave a count that is one too low for what flowed through a
# block: gcov then prints a branch as taken -1 times.
report=(gcovr --root . --object-directory "$dir" --filter src/ --filter topology/ --gcov-ignore-parse-errors)
printf '\nlines: count, run, and those that no test runs\n'
"${report[@]}" "$dir"
printf '\nbranches: count, taken, and the lines with one that no test takes\n'
"${report[@]}" --branches "$dir"

printf '\nleft out of the count, with the reason (GCOVR_EXCL in the source):\n'
grep -rn --include='*.[ch]' GCOVR_EXCL src topology || echo '  nothing'
printf '\nbounds: %s %% of lines, %s %% of branches\n' "$lines_percent" "$branches_percent"
"${report[@]}" --print-summary --fail-under-line "$lines_percent" \
    --fail-under-branch "$branches_percent" --output "$dir/coverage.txt" "$dir"
[ "$tests_failed" = 0 ] || {
    echo 'coverage: tests failed' >&2
    exit 1
}

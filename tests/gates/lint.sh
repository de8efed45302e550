#!/usr/bin/env bash
# What can be said of the sources without running them, by three programs that see different things:
#   tidy      clang-tidy with the checks of .clang-tidy
#   cppcheck  its warnings, portability and performance
#   analyzer  gcc -fanalyzer, without optimization: paths are those that were written
# Called by ./dev lint with those to run; all without arguments. BUILD_DIR is where it builds;
# `build/lint` if it is not set. A finding that is none is answered where it is, with the reason:
# NOLINTNEXTLINE(check): why, or cppcheck-suppress check ; why.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."
dir=${BUILD_DIR:-build/lint}
jobs=${CTEST_PARALLEL_LEVEL:-$(nproc)}
failed=0

# Optimized, and without the tests: their findings would be about macros of the test library.
configure() {
    cmake -S . -B "$dir" -G Ninja -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DNUMAPOOL_DEV=ON \
        -DNUMAPOOL_BUILD_TESTS=OFF -DNUMAPOOL_BUILD_BENCH=OFF -DNUMAPOOL_BUILD_EXAMPLES=ON "$@" >/dev/null
}

run_tidy() {
    configure -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS= -DNUMAPOOL_PROBES=ON
    # One process a file: clang-tidy 14 with several in one takes va_list for uninitialized.
    find src topology -name '*.c' -print0 |
        xargs -0 -P "$jobs" -n 1 clang-tidy -p "$dir" --quiet 2>"$dir/tidy.log"
}

run_cppcheck() {
    # Without probe points: it does not understand the assembly of sys/sdt.h.
    configure -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS= -DNUMAPOOL_PROBES=OFF
    # With a relative path version 2.10 finds no file.
    cppcheck --project="$(realpath "$dir")/compile_commands.json" --file-filter='*/src/*' \
        --file-filter='*/topology/*' --file-filter='*/examples/*' --enable=warning,performance,portability \
        --inline-suppr --std=c11 --error-exitcode=1 --quiet -j "$jobs"
}

run_analyzer() {
    configure -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS='-fanalyzer -O0'
    cmake --build "$dir" --clean-first -j "$jobs" -- -k 0 --quiet
}

[ $# -gt 0 ] || set -- tidy cppcheck analyzer
for program in "$@"; do
    case $program in
    tidy | cppcheck | analyzer) ;;
    *)
        echo "lint: no '$program'; tidy, cppcheck and analyzer are" >&2
        exit 2
        ;;
    esac
    printf '\n==> lint: %s\n' "$program"
    if "run_$program"; then
        echo "clean"
    else
        echo "FAILED"
        failed=1
    fi
done
exit $failed

#!/bin/bash
# Proves that guest/runner.c counts every way in which a program can end. Runs on the host.
#   runner_test.sh RUNNER
set -euo pipefail
runner=${1:?path of the runner}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

program() {
    printf '#!/bin/sh\n%s\n' "$2" >"$1"
    chmod 755 "$1"
}
program passes 'exit 0'
program fails 'exit 3'
program skips 'echo "skip: no reason"; exit 77'
program crashes 'kill -SEGV $$'
program hangs 'sleep 1000'
program is_stubborn 'trap "" ABRT; sleep 1000 & while :; do sleep 1000; done'
program leaves_a_child 'sleep 1000 & echo $! >child; exit 0'
echo 'no program' >not_executable

bad=0
expect() { # LINE in the output
    grep -q "^$1" out || {
        echo "missing: $1"
        bad=1
    }
}
status_is() { # STATUS ARGUMENTS...
    local want=$1 got=0
    shift
    NPVM_PROGRAM_S=${seconds:-100} "$runner" "$@" >out 2>&1 || got=$?
    cat out
    if [ "$got" != "$want" ]; then
        echo "runner $*: status $got instead of $want"
        bad=1
    fi
}

status_is 1 ./passes ./fails ./skips ./crashes ./leaves_a_child ./not_executable ./absent
expect 'passes: pass'
expect 'fails: fail (status 3)'
expect 'skip: no reason'
expect 'skips: skip'
expect 'crashes: fail (signal 11'
expect 'leaves_a_child: pass'
expect 'not_executable: fail (status 127)'
expect 'absent: fail (status 127)'
expect '2 passed, 4 failed, 1 skipped'
# SIGKILL is delivered in the kernel's own time, so the child may still be on its way out.
for _ in $(seq 100); do
    kill -0 "$(cat child)" 2>/dev/null || break
    sleep 0.1
done
if kill -0 "$(cat child)" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$(cat child)/status"; then
    echo "the child that a program left behind is still alive"
    bad=1
fi

seconds=1 status_is 1 ./hangs ./is_stubborn
expect 'hangs: fail (killed after 1 s)'
expect 'is_stubborn: fail (killed after 1 s)'
expect '0 passed, 2 failed'
status_is 0 ./passes ./skips
status_is 77 ./skips
status_is 1
exit $bad

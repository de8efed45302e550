#!/bin/bash
# Proves that run.sh reports a pass only when the guest said so, and names every other end.
# Boots the shape square several times, about five seconds each.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

bad=0
ends_with() { # STATUS SECONDS COMMAND-IN-THE-GUEST TEXT-IN-THE-OUTPUT
    local got=0
    mkdir -p "$work/t"
    echo "$3" >"$work/t/run.sh"
    "$here/run.sh" square "$2" "$work/t" >"$work/out" 2>&1 || got=$?
    cat "$work/out"
    if [ "$got" = 77 ] && [ "$1" != 77 ]; then
        exit 77
    fi
    if [ "$got" != "$1" ] || ! grep -q "$4" "$work/out"; then
        echo "'$3' ended with $got, not $1, or without '$4'"
        bad=1
    fi
}

ends_with 0 60 'true' '^@DONE 0 '
ends_with 7 60 'exit 7' '^@DONE 7 '
ends_with 124 3 'sleep 1000' 'did not finish within 3 s'
ends_with 125 60 'echo c >/proc/sysrq-trigger; sleep 9' 'guest died'
ends_with 125 60 'poweroff -f' 'guest died'
ends_with 125 60 'echo "@DONE 0 forged"; poweroff -f' 'guest died'
ends_with 125 60 'echo 1 >/dev/null; quit 0; sleep 9' 'guest died'
ends_with 1 60 '(echo "#!/bin/sh"; echo "echo 0 >/sys/devices/system/cpu/cpu5/online") >a; chmod 755 a
    runner /t/a; status=$?; grep -q 0-7 /sys/devices/system/cpu/online && exit $status' \
    'a: fail (changed the machine)'
NPVM_BOOT_S=0 ends_with 125 60 'true' 'did not boot (attempt 2'
NPVM_KERNEL=/nonexistent ends_with 77 60 'true' '^skip: .*cannot be read'
exit $bad

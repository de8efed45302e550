#!/bin/bash
# Boots an emulated machine, runs test programs in it and exits with their result.
#
#   run.sh SHAPE SECONDS PATH...    each PATH is a program, or a directory of programs; they are put
#                                   into /t of the guest with the libraries they need. If /t then has
#                                   a run.sh, that is run, else all programs, by guest/runner.c
#   run.sh --shell SHAPE [PATH...]  a shell in the guest instead, without a time limit
#   SHAPE                           a file shapes/SHAPE.args
#
# Exit   0..126 what the guest said · 77 also: qemu, a kernel or a tool is missing, with the reason
#        124 the guest did not finish in SECONDS · 125 it died, or never booted in two attempts
# Environment   NPVM_PROGRAM_S  seconds per program, see runner.c
#               NPVM_BOOT_S     seconds to wait for the boot, 150 if unset
#               NPVM_APPEND     more words for the kernel's command line
#               NPVM_GUEST      directory with built `runner` and `quit`; else built by $CC
#               NPVM_FILES      directories, with colons between them, for the guest to have too
#               NPVM_KERNEL     see kernel.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

skip() {
    echo "skip: $*"
    exit 77
}

shell=
if [ "${1:-}" = --shell ]; then
    shell=1
    shape=${2:?shape}
    limit_s=0
    shift 2
else
    shape=${1:?shape}
    limit_s=${2:?seconds}
    shift 2
    [ $# -gt 0 ] || { echo "no programs given" >&2; exit 125; }
fi
shape_file=$here/shapes/$shape.args
[ -r "$shape_file" ] || { echo "no such shape: $shape" >&2; exit 125; }

[ "$(uname -m)" = x86_64 ] || skip "the guest runs programs built for x86-64, not $(uname -m)"
for tool in qemu-system-x86_64 busybox cpio flock timeout; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done

work=$(mktemp -d "${TMPDIR:-/tmp}/numapool-vm.XXXXXX")
qemu=
cleanup() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 124' TERM INT

kernel=$("$here/kernel.sh" 2>"$work/why") || { cat "$work/why"; exit 77; }

# The guest's files: busybox, our two helpers, the programs, and every library at the path where the
# dynamic linker found it here, so that run paths into a build tree work in the guest as well.
root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,t}
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$here/guest/init" "$root/init"
chmod 755 "$root/init"
for helper in quit runner; do
    if [ -n "${NPVM_GUEST:-}" ]; then
        cp "$NPVM_GUEST/$helper" "$root/bin/"
    else
        "${CC:-cc}" -D_GNU_SOURCE -O1 -o "$root/bin/$helper" "$here/guest/$helper.c"
    fi
done
for tool in numactl lstopo-no-graphics; do # for people in a shell and for export.sh
    if path=$(command -v "$tool"); then cp -L "$path" "$root/bin/"; fi
done
for path in "$@"; do
    if [ -d "$path" ]; then cp -rL "$path"/. "$root/t/"; else cp -L "$path" "$root/t/"; fi
done
IFS=: read -ra files <<<"${NPVM_FILES:-}"
for path in "${files[@]}"; do
    mkdir -p "$root$(dirname "$path")"
    cp -rL "$path" "$root$(dirname "$path")/"
done
# ldd also fails for what is no dynamic program (busybox, scripts); only its answers count.
find "$root/bin" "$root/t" -type f -perm /111 -exec ldd {} + >"$work/ldd" 2>/dev/null || true
if grep 'not found' "$work/ldd"; then
    echo "libraries are missing"
    exit 125
fi
awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// && $1 !~ /:$/ { print $1 }' "$work/ldd" |
    sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
    # The C library opens this one by itself when a thread is ended from inside; ldd cannot know.
    case $library in
    */libc.so.6)
        unwinder=$(dirname "$library")/libgcc_s.so.1
        [ ! -e "$unwinder" ] || cp -L "$unwinder" "$root$unwinder"
        ;;
    esac
done
(cd "$root" && find . | cpio -o -H newc -R 0:0 2>/dev/null) >"$work/initrd"

# A shape file holds QEMU arguments, comments from '#' on, and "kernel:" lines for the kernel's own.
mapfile -t machine < <(sed -e 's/#.*//' -e '/^kernel:/d' "$shape_file" | xargs -n 1)
words=$(sed -n 's/^kernel: *//p' "$shape_file" | xargs)
append="console=ttyS0 quiet panic=-1 $words ${NPVM_APPEND:-} NPVM_SHAPE=$shape"
append+=" NPVM_PROGRAM_S=${NPVM_PROGRAM_S:-300} ${shell:+NPVM_SHELL=1}"
# One emulation thread: placement does not need more, and several were seen to stall on a busy host.
serial=${shell:+mon:}stdio # with a monitor, Ctrl-C goes to the guest
command=(qemu-system-x86_64 -nodefaults -no-reboot -display none -serial "$serial"
    -accel "tcg,thread=single" -device "isa-debug-exit,iobase=0xf4,iosize=4"
    -kernel "$kernel" -initrd "$work/initrd" -append "$append" "${machine[@]}")

if [ -n "$shell" ]; then
    "${command[@]}" || true
    exit 0
fi

# Kills the guest unless the given command succeeds, or the guest ends, within some seconds.
await() {
    local end_s=$((SECONDS + $1))
    shift
    until "$@" || ! kill -0 "$qemu" 2>/dev/null; do
        if [ "$SECONDS" -ge "$end_s" ]; then
            late=1
            kill "$qemu" 2>/dev/null || true
            break
        fi
        sleep 0.2
    done
}

# Starts the guest; leaves QEMU's exit status in $status. The output is shown while it comes.
# `timeout` only makes sure that the guest does not outlive this script, should it be killed.
attempt() {
    local show
    late=
    : >"$work/out"
    timeout -k 2 "$((limit_s + boot_s + 10))" "${command[@]}" </dev/null >"$work/out" 2>&1 &
    qemu=$!
    # Processor models name features that emulation lacks; QEMU says so for each CPU and each feature.
    tail -f -s 0.2 -n +1 --pid="$qemu" "$work/out" |
        sed -u -e "/warning: TCG doesn't support requested feature/d" -e 's/\r$//' &
    show=$!
    await "$boot_s" booted
    if [ -z "$late" ]; then await "$limit_s" false; fi
    wait "$qemu" && status=0 || status=$?
    qemu=
    wait "$show" || true
}

booted() {
    grep -q '^@BOOT' "$work/out"
}

boot_s=${NPVM_BOOT_S:-150}
status=0 late=
for try in 1 2; do
    attempt
    if booted; then break; fi
    echo "the guest did not boot (attempt $try, qemu status $status)"
done
booted || exit 125
# A result counts only if the guest itself said it both ways: on the console and by the exit port.
said=$(tr -d '\r' <"$work/out" | sed -n 's/^@DONE \([0-9]*\) .*/\1/p' | tail -n 1)
if [ -n "$late" ]; then
    echo "the guest did not finish within $limit_s s"
    exit 124
fi
if [ -z "$said" ] || [ "$status" != $(((said + 1) * 2 + 1)) ]; then
    echo "the guest died (qemu status $status, last word '${said:-none}')"
    exit 125
fi
exit "$said"

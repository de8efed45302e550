#!/usr/bin/env bash
# Runs a command in a copy of this system that is thrown away when it ends: throwaway.sh [--left FILE]
# COMMAND [ARGUMENT...]. The copy is an overlay over /, in memory, in namespaces of mounts and processes
# of its own; nothing that the command installs, writes or leaves running gets out of it, except what
# it writes below $THROWAWAY_SHARED, a folder of this system. --left FILE lists what the copy has beyond
# this system when the command has ended. Exit 77 with the reason where that is not permitted.
set -euo pipefail

left=
if [ "${1:-}" = --left ]; then
    left=$(realpath -m -- "$2")
    shift 2
fi

if [ "${THROWAWAY_STAGE:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || { echo "skipped: only root can make a throw-away copy of the system"; exit 77; }
    for part in /usr /etc /var /tmp; do
        [ "$(stat -c %d "$part")" = "$(stat -c %d /)" ] ||
            { echo "skipped: $part is a file system of its own, which the copy would not have"; exit 77; }
    done
    base=$(mktemp -d "/tmp/throwaway.XXXXXX")
    trap 'rmdir -- "$base"' EXIT
    probe='mount -t tmpfs tmpfs "$1" && mkdir "$1/u" "$1/w" "$1/m" &&
        mount -t overlay overlay -o "lowerdir=/,upperdir=$1/u,workdir=$1/w" "$1/m"'
    if ! why=$(unshare --mount sh -c "$probe" sh "$base" 2>&1); then
        echo "skipped: no overlay over / may be mounted here: $why"
        exit 77
    fi
    status=0
    THROWAWAY_STAGE=inside THROWAWAY_BASE=$base unshare --mount --pid --fork --kill-child -- \
        "$0" ${left:+--left "$left"} "$@" || status=$?
    exit "$status"
fi

base=$THROWAWAY_BASE root=$THROWAWAY_BASE/m
unset THROWAWAY_STAGE THROWAWAY_BASE
mount -t tmpfs -o mode=755 tmpfs "$base"
mkdir "$base/u" "$base/w" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/u,workdir=$base/w" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
# A working folder on another file system is there as it is, to be read.
if [ "$(stat -c %d .)" != "$(stat -c %d /)" ]; then
    mkdir -p "$root$PWD"
    mount --bind "$PWD" "$root$PWD"
    mount -o remount,bind,ro "$root$PWD"
fi
if [ -n "${THROWAWAY_SHARED:-}" ]; then
    mkdir -p "$root$THROWAWAY_SHARED"
    mount --bind "$THROWAWAY_SHARED" "$root$THROWAWAY_SHARED"
fi
status=0
TMPDIR=/tmp chroot "$root" /usr/bin/env -C "$PWD" -- "$@" || status=$?
if [ -n "$left" ]; then
    # Whiteouts are character devices of number 0: what the command removed from this system.
    (cd "$base/u" && find . ! -type d ! -type c -printf '/%P\n' -o -type c -printf 'removed /%P\n' \
        -o -type d -name '*numapool*' -printf '/%P/\n' | LC_ALL=C sort) >"$left"
fi
exit "$status"

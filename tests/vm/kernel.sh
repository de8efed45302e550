#!/bin/bash
# Prints the path of a kernel image for the guest, fetching one the first time.
# Debian's cloud kernel is unpacked, never installed: no maintainer script runs, nothing of the
# host changes, and root is not needed. Exit 77 with the reason when none can be had.
#
# A kernel once fetched is used until its directory, ~/.cache/numapool, is deleted.
#
#   NPVM_KERNEL=FILE    use this image and fetch nothing
#   NPVM_PACKAGE=NAME   another package than linux-image-cloud-amd64
#   NPVM_FALLBACK=DIR   keep it there if no per-user cache directory can be written
set -euo pipefail

skip() {
    echo "skip: $*" >&2
    exit 77
}

if [ -n "${NPVM_KERNEL:-}" ]; then
    [ -r "$NPVM_KERNEL" ] || skip "NPVM_KERNEL=$NPVM_KERNEL cannot be read"
    echo "$NPVM_KERNEL"
    exit 0
fi

meta=${NPVM_PACKAGE:-linux-image-cloud-amd64}
cache=
for parent in "${XDG_CACHE_HOME:-}" "${HOME:+$HOME/.cache}" "${NPVM_FALLBACK:-}"; do
    [ -n "$parent" ] || continue
    if mkdir -p "$parent/numapool/$meta" 2>/dev/null && [ -w "$parent/numapool/$meta" ]; then
        cache=$parent/numapool/$meta
        break
    fi
done
[ -n "$cache" ] || skip "no directory to keep the kernel in; set XDG_CACHE_HOME"

# Two test runs may start at once; the second waits and finds the kernel there.
exec 9>"$cache/lock"
flock -w 300 9 || skip "another run holds $cache/lock"

newest() {
    find "$cache" -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -n 1
}
kernel=$(newest)
if [ -n "$kernel" ]; then
    echo "$kernel"
    exit 0
fi

# Many tests ask, and a machine without a network answers slowly: one attempt in ten minutes will do.
refusal=$cache/refusal
if [ -n "$(find "$refusal" -mmin -10 2>/dev/null)" ]; then
    skip "$(cat "$refusal")"
fi
refuse() {
    echo "$*" >"$refusal"
    skip "$*"
}

for tool in apt-get apt-cache dpkg-deb; do
    command -v "$tool" >/dev/null ||
        skip "$tool is missing, so the kernel cannot be fetched; set NPVM_KERNEL"
done

work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
log=$work/log

# The package that the meta package stands for at present.
depends() {
    apt-cache "$@" depends "$meta" 2>>"$log" | awk '/Depends: linux-image-/ { print $2; exit }'
}
# Machines kept small have no package lists: read them into a place of our own, not the system's.
own_lists=(-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=")
lists=(-o "APT::Sandbox::User=")
package=$(depends "${lists[@]}" || true)
if [ -z "$package" ]; then
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    lists=("${own_lists[@]}")
    timeout 120 apt-get "${lists[@]}" -qq update >>"$log" 2>&1 || true
    package=$(depends "${lists[@]}" || true)
fi
[ -n "$package" ] || refuse "no package source offers $meta: $(tail -n 1 "$log")"

(cd "$work" && timeout 300 apt-get "${lists[@]}" -qq download "$package" >>"$log" 2>&1) ||
    refuse "$package could not be downloaded: $(tail -n 1 "$log")"
dpkg-deb -x "$work/$package"_*.deb "$work/tree"
mv "$work"/tree/boot/vmlinuz-* "$cache/"
rm -f "$refusal"
newest

#!/usr/bin/env bash
# systemd reads the example unit and finds nothing to say: unit.sh UNIT. The program need not be
# installed: /bin/true stands in for it. And a unit with a misspelt setting is found, by the same command.
set -euo pipefail
unit=$1
command -v systemd-analyze >/dev/null || { echo "skipped: no systemd-analyze"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
copy=$work/$(basename "$unit")

verify() {
    systemd-analyze verify "$copy" 2>&1 || true
}

sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$unit" >"$copy"
grep -q '^ExecStart=/bin/true ' "$copy" || { echo "$unit starts no program"; exit 1; }
said=$(verify)
[ -z "$said" ] || { echo "$said"; exit 1; }
# The settings that are only shown are settings, too.
sed -i 's/^#\([A-Z][A-Za-z]*=\)/\1/' "$copy"
[ "$(grep -c -E '^(AllowedCPUs|AllowedMemoryNodes|CPUAffinity|CPUQuota|NUMAPolicy)=' "$copy")" = 5 ] ||
    { echo "$unit does not show the five settings"; exit 1; }
said=$(verify)
[ -z "$said" ] || { echo "with all of its settings: $said"; exit 1; }
sed -i 's/^AllowedCPUs=/AlowedCPUs=/' "$copy"
said=$(verify)
[[ $said = *AlowedCPUs* ]] || { echo "a misspelt setting was not found"; exit 1; }

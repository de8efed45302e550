#!/bin/bash
# Writes the machine of a shape, as hwloc sees it from inside; for tests/machines.
#   export.sh SHAPE FILE.xml [COMMAND]     COMMAND runs in the guest first, e.g. to take a CPU offline
# Prints the kernel's own view (nodes, their CPUs, distances), which hwloc's file does not hold in full.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
shape=${1:?shape}
file=${2:?file}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/t"
cat >"$work/t/run.sh" <<GUEST
cd /sys/devices/system/node
echo "nodes online \$(cat online), with CPUs \$(cat has_cpu), with memory \$(cat has_memory)"
for node in \$(ls -d node[0-9]* | sort -V); do
    echo "\$node cpus \$(cat \$node/cpulist) distances \$(cat \$node/distance)"
done
cd /t
${3:-}
lstopo-no-graphics --no-icaches --no-io --ignore Misc --of xml /t/machine.xml || exit 1
echo "@XML"
base64 /t/machine.xml
echo "@END"
GUEST
status=0
"$here/run.sh" "$shape" 120 "$work/t" >"$work/out" || status=$?
sed '/^@XML/,/^@END/d; /^@/d' "$work/out"
[ "$status" = 0 ] || exit "$status"
sed -n '/^@XML/,/^@END/p' "$work/out" | sed '1d; $d' | base64 -d >"$work/machine.xml"
grep -q '</topology>' "$work/machine.xml"
mv "$work/machine.xml" "$file"

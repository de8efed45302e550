#!/bin/sh
# One question to the model: run.sh EXPECTED QUESTION DEFINITION...
#   EXPECTED  holds, or fails: the model has a bug in it that has to be found
#   QUESTION  safe (assertions, nobody stuck), or a property of shard.pml under weak fairness
# Exit: 0 as expected, 77 no spin, 1 otherwise. With KEEP=DIR the failing run is printed there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
expected=$1 question=$2
shift 2
for tool in spin cc; do
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: $tool is not installed (./dev deps proof)"
        exit 77
    fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$here/shard.pml" .
spin "$@" -a shard.pml >generated
if [ "$question" = safe ]; then
    cc -O2 -w -DSAFETY -DNOCLAIM -DVECTORSZ=1024 -o pan pan.c
    options=
else
    cc -O2 -w -DNFAIR=3 -DVECTORSZ=1024 -o pan pan.c
    options="-a -f -N $question"
fi
# shellcheck disable=SC2086
./pan -m1000000 -w22 $options >out
grep -E '^pan:1|errors:|states, stored|elapsed' out
if grep -q -E 'max search depth too small|out of memory|not completed' out &&
    [ "$expected" = holds ]; then
    echo "the search was not complete"
    exit 1
fi
errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' out)
if [ -n "${KEEP:-}" ] && [ "$errors" != 0 ]; then
    spin "$@" -t -p shard.pml >"$KEEP/trail" 2>&1 || true
fi
case $expected:$errors in
holds:0) ;;
fails:[1-9]*) ;;
*) echo "expected that it $expected; errors: $errors"; exit 1 ;;
esac

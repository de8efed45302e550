#!/bin/sh
# Makes the pictures of the guides again: make.sh NUMAPOOL [DIRECTORY], by default beside this file. The commands are
# those the guides show, each on a line of its own; gnuplot draws, and what a picture does not need is taken out.
set -eu
numapool=$(readlink -f -- "$1")
here=$(cd -- "$(dirname -- "$0")" && pwd)
out=$(cd -- "${2:-$here}" && pwd)
cd "$here/../.."
grep -h '^numapool simulate .* --svg ' docs/*.md | sort -u | while IFS= read -r command; do
    name=$(printf '%s\n' "$command" | sed 's/.* --svg \([a-z-]*\.svg\)$/\1/')
    options=$(printf '%s\n' "$command" | sed 's/^numapool //; s/ --svg [^ ]*$//')
    eval "\"\$numapool\" $options --svg \"\$out/\$name.whole\"" >"$out/$name.said"
    awk -f "$here/shrink.awk" "$out/$name.whole" >"$out/$name"
    rm "$out/$name.whole" "$out/$name.said"
    echo "$name"
done

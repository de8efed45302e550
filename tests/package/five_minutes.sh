#!/usr/bin/env bash
# The first five minutes of somebody who has the packages and has read the first page, in the running
# system: five_minutes.sh FOLDER SOURCE. Only for a system that may be changed; package.sh calls it in
# one that is thrown away. It prints how long each step took and names those that took more than 30 s; a
# step fails by what it finds, not by its time. SOURCE says which parts there are: a step whose part
# the tree does not have is named as left out.
set -euo pipefail
folder=$(realpath -- "$1") source=$(realpath -- "$2")
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
work=$(mktemp -d)
cd "$work"
examples=/usr/share/doc/libnumapool-dev/examples
mapfile -t files < <(find "$folder" -maxdepth 1 -name '*.deb' ! -name '*-dbgsym_*' | sort)
names=() server=
for file in "${files[@]}"; do
    names+=("$(dpkg-deb -f "$file" Package)")
    ! dpkg-query -W "${names[-1]}" >/dev/null 2>&1 || { echo "${names[-1]} is here already" >&2; exit 1; }
done

clean_up() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    dpkg --purge "${names[@]}" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# What a step prints is what a person would see; only its last lines are shown again if it fails.
table=() late=()
step() {
    local what=$1 begin_ms end_ms
    shift
    printf '\n==> %s\n' "$what"
    begin_ms=$(date +%s%3N)
    "$@"
    end_ms=$(date +%s%3N)
    table+=("$(printf '%5d.%d s  %s' $(((end_ms - begin_ms) / 1000)) $(((end_ms - begin_ms) % 1000 / 100)) "$what")")
    [ $((end_ms - begin_ms)) -le 30000 ] || late+=("$what")
}

leave_out() {
    printf '\n==> %s: left out, %s\n' "$1" "$2"
    table+=("       –  $1: left out, $2")
}

install() {
    dpkg -i "${files[@]}" >dpkg.log 2>&1 || { cat dpkg.log; fail "dpkg -i"; }
    numapool --version
}

# An example as it was installed, unpacked if it was compressed.
take() {
    local name
    for name in "$@"; do
        if [ -e "$examples/$name" ]; then
            cp "$examples/$name" .
        else
            gunzip -c "$examples/$name.gz" >"$name"
        fi
    done
}

hello() {
    take hello.c
    # shellcheck disable=SC2046 # words are what is wanted
    cc hello.c -o hello $(pkg-config --cflags --libs numapool)
    ./hello | tee hello.out
    grep -qx '4 accepted, 4 run' hello.out || fail "hello says something else than the first page"
}

plan() {
    numapool plan --machine "pack:4 [numa] core:8 pu:2" --svg plan.svg | tee plan.out
    [ -s plan.svg ] || fail "no picture was drawn"
    python3 -c 'import sys, xml.dom.minidom as x; assert x.parse(sys.argv[1]).documentElement.tagName == "svg"' plan.svg
    # Four nodes make four shards.
    python3 - <(numapool plan --machine "pack:4 [numa] core:8 pu:2" --json) <<'END'
import json, sys
plan = json.load(open(sys.argv[1]))
assert len(plan["shards"]) == 4, plan["shards"]
END
}

build_server() {
    take README.md
    local line
    line=$(grep -E '^cc .*-o http_microhttpd ' README.md) || fail "$examples/README.md does not say how to compile a server"
    # shellcheck disable=SC2046 # words are what is wanted
    take $(grep -oE '\bhttp_[a-z_]+\.c\b' <<<"$line") http_common.h
    echo "$line"
    sh -c "$line"
}

# Load on a server of sixteen workers, and what it is doing by another process meanwhile.
serve() {
    : >server.out # there before it is looked at
    ./http_microhttpd --port 0 --workers 16 --queue 16 --grace 100 >server.out 2>&1 &
    server=$!
    local port='' i json
    for ((i = 0; i < 300 && ${#port} == 0; i++)); do
        port=$(sed -n '/127\.0\.0\.1:/{s/.*127\.0\.0\.1:\([0-9]*\).*/\1/p;q}' server.out)
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    [ -n "$port" ] || { cat server.out; fail "the server does not say its port"; }
    curl -sS "http://127.0.0.1:$port/work?ms=20&kb=500"
    wrk -t2 -c64 -d4s "http://127.0.0.1:$port/work?ms=20&kb=500" >wrk.out 2>&1 &
    local load=$!
    sleep 1
    if [ -e "$source/src/tool/stat.c" ]; then
        numapool stat --interval 1 --count 2 "$server"
        numapool stat --json "$server" >stat.json
    fi
    curl -sS "http://127.0.0.1:$port/metrics" >metrics.txt
    wait "$load" || { cat wrk.out; fail "wrk"; }
    grep -E 'requests in|Non-2xx' wrk.out
    kill -TERM "$server"
    wait "$server" || { cat server.out; fail "the server's account does not add up"; }
    server=
    tail -n 1 server.out
    grep -q 'nothing is missing' server.out || fail "the server does not say that nothing is missing"
    # Four times what may run and wait was asked for, so both answers were given.
    json=$(sed -n 's/.* accepted=\([0-9]*\) .* refused=\([0-9]*\) .*/\1 \2/p' server.out)
    read -r accepted refused <<<"$json"
    [ "$accepted" -gt 0 ] && [ "$refused" -gt 0 ] || fail "accepted $accepted, refused $refused"
    grep -q '^numapool_.* [0-9]' metrics.txt || fail "/metrics has nothing of numapool"
    [ ! -e stat.json ] || python3 - stat.json "$accepted" <<'END'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
accepted = sum(line["total"]["accepted"] for line in lines)
assert 0 < accepted <= int(sys.argv[2]), (accepted, sys.argv[2])
END
}

# A word of the configuration misspelt, a number without its unit: the command names both lines, and
# the program that is given the file ends with the same sentence instead of a pool.
break_configuration() {
    printf 'version = 1;\npool: {\n    wrokers_max = 16;\n    tick = 10;\n};\n' >my.conf
    if [ -e "$source/src/tool/check.c" ]; then
        ! numapool check my.conf >check.out || fail "numapool check finds nothing wrong"
        cat check.out
        grep -q '^my\.conf:3: .*workers_max' check.out || fail "line 3 is not named with what would be right"
        grep -q '^my\.conf:4: .*10ms' check.out || fail "line 4 is not named with what would be right"
    fi
    cat >load.c <<'END'
#include <numapool/numapool.h>
#include <stdio.h>
int main(void)
{
    struct numapool_config config;
    struct numapool_error error = {0};
    numapool_config_init(&config);
    if (numapool_config_load(&config, "my.conf", &error)) {
        puts(error.text);
        return 1;
    }
    return 0;
}
END
    # shellcheck disable=SC2046 # words are what is wanted
    cc load.c -o load $(pkg-config --cflags --libs numapool)
    ! ./load >load.out || fail "the file was taken"
    cat load.out
    grep -q 'my\.conf:3' load.out && grep -q workers_max load.out || fail "the library does not say where and what"
}

purge() {
    dpkg --purge "${names[@]}" >dpkg.log 2>&1 || { cat dpkg.log; fail "dpkg --purge"; }
    [ ! -e /usr/bin/numapool ] || fail "the command is left"
    [ ! -e "$examples" ] || fail "$examples is left"
}

step "install" install
step "compile hello with pkg-config, run it" hello
if [ -e "$source/src/tool/plan.c" ]; then
    step "plan a machine nobody has, as a picture" plan
else
    leave_out "plan a machine nobody has, as a picture" "this tree has no numapool plan"
fi
missing=()
for tool in wrk curl; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
pkg-config --exists libmicrohttpd || missing+=(libmicrohttpd-dev)
if [ ! -e "$source/examples/http_microhttpd.c" ]; then
    leave_out "a server under load" "this tree has none"
elif [ ${#missing[@]} -gt 0 ]; then
    leave_out "a server under load" "there is no ${missing[*]}"
else
    step "compile the example server" build_server
    step "the server under wrk, read by numapool stat" serve
fi
step "a broken configuration, and what is said of it" break_configuration
step "purge" purge
trap - EXIT
cd /
rm -rf "$work"

printf '\n==> the first five minutes\n'
printf '%s\n' "${table[@]}"
if [ ${#late[@]} -gt 0 ]; then
    printf 'more than 30 s, on this machine as busy as it was: %s\n' "${late[@]}"
fi

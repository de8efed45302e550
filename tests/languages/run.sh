#!/usr/bin/env bash
# run.sh LANGUAGE EXAMPLE LIBRARY INCLUDE WORK: builds the example against the library of the build tree, runs it, and compares its
# account. Nothing is fetched: neither crates nor modules. 77: that language is not here.
set -euo pipefail
language=$1 example=$2 library=$3 include=$4 work=$5
directory=$(dirname "$library")
mkdir -p "$work"

need() {
    if ! command -v "$1" >/dev/null; then
        echo "skipped: there is no $1"
        exit 77
    fi
}
case $language in
python)
    need python3
    said=$(python3 "$example/squares.py" "$library")
    ;;
go)
    need go
    export GOCACHE=$work/cache GOPATH=$work/path GOPROXY=off GOFLAGS=-mod=mod GO111MODULE=on CGO_ENABLED=1
    export CGO_CFLAGS="-I$include" CGO_LDFLAGS="-L$directory -lnumapool -Wl,-rpath,$directory"
    (cd "$example" && go vet . && go build -o "$work/squares" .)
    unformatted=$(gofmt -l "$example")
    [ -z "$unformatted" ] || { echo "gofmt would change $unformatted"; exit 1; }
    said=$("$work/squares")
    ;;
rust)
    need rustc
    rustc --edition 2021 -O -D warnings -L "native=$directory" -C "link-arg=-Wl,-rpath,$directory" \
        -o "$work/squares" "$example/squares.rs"
    said=$("$work/squares")
    ;;
esac
expected="$language: 1000 accepted, 1000 run, sum 332833500"
if [ "$said" != "$expected" ]; then
    printf 'said: %s\nexpected: %s\n' "$said" "$expected"
    exit 1
fi
echo "$said"

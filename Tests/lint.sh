#!/bin/bash
# Lints every language of the project, each with its own configuration at the root; fixes nothing.
#
#     Tests/lint.sh        exit status 0 when nobody complains
#
# To fix: swift format --in-place --recursive …, clang-format -i …, .build-venv/bin/ruff check --fix
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

command -v swift >/dev/null || PATH=$PATH:/opt/swift/usr/bin
[ -x .build-venv/bin/ruff ] && PATH=$PWD/.build-venv/bin:$PATH

FAILED=0
# lint COMMAND…: runs it, and says whose complaint its output is.
lint() {
    command -v "$1" >/dev/null || { echo "error: no $1: run ./test.sh format without --no-install"; FAILED=1; return; }
    "$@" 2>&1 || { echo "error: $1 complains"; FAILED=1; }
}

mapfile -t c_files < <(find Sources Tests Benchmarks -name '*.c' -o -name '*.h')
mapfile -t scripts < <(find . -name '.build*' -prune -o -name '*.sh' -print)
scripts+=(packaging/debian/{postinst,prerm,postrm})
lint swift format lint --strict --recursive Sources Tests Benchmarks Package.swift
lint clang-format --dry-run --Werror "${c_files[@]}"
lint shellcheck --external-sources .ci/run "${scripts[@]}"
lint ruff check --quiet --no-cache Tests Benchmarks docs packaging Python
exit "$FAILED"

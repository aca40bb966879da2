# What demo.sh, test.sh and bench.sh share: saying what they do, root, Debian's packages, hugepages. Sourced, not run.
# shellcheck shell=bash

say() { printf '\n== %s\n' "$*"; }

# Runs a command as root, without asking for a password.
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# packages PURPOSE…: the packages of debian-packages.txt that are needed for one of them.
packages() {
  awk -v purposes=" $* " '!/^#/ { for (i = 2; i <= NF; i++) if (index(purposes, " " $i " ")) { print $1; next } }' \
    "$(dirname "${BASH_SOURCE[0]}")/debian-packages.txt"
}

# install_packages PURPOSE…: installs those that are not there yet.
install_packages() {
  local wanted=() missing=() package
  mapfile -t wanted < <(packages "$@")
  for package in "${wanted[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep 'ok installed' >/dev/null || missing+=("$package")
  done
  if [ ${#missing[@]} = 0 ]; then
    echo "all ${#wanted[@]} Debian packages are there"
    return
  fi
  echo "installing ${missing[*]}"
  as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null
}

# reserve_hugepages ENOUGH PAGES: reserves so many pages of 2 MB where fewer than ENOUGH are free; fails where that cannot be.
reserve_hugepages() {
  local free
  free=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null || echo 0)
  if [ "$free" -ge "$1" ]; then
    echo "$free free hugepages"
    return
  fi
  as_root "$(dirname "${BASH_SOURCE[0]}")/../hugepages-setup.sh" --pages "$2"
}

# build_release LOG: builds the release quietly: a line when it worked, all of its output when not.
build_release() {
  say "swift build -c release"
  if ! swift build -c release >"$1" 2>&1; then
    cat "$1" >&2
    return 1
  fi
  tail -n 1 "$1"
}

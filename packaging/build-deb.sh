#!/usr/bin/env bash
# Makes a Debian package of the release binary, for the Debian that it runs on: dependencies are those of the libraries that
# the binary is linked with, the manual page and the shells' completions come from the binary itself.
#
#     packaging/build-deb.sh [--binary FILE] [FOLDER]      builds martlet, unless a binary is given; leaves the package in
#                                                          FOLDER (.build) and prints its path
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '5,6s/^# \{0,1\}//p' packaging/build-deb.sh; }
binary='' folder=.build
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --binary) [ $# -gt 1 ] || { usage >&2; exit 64; }; binary=$2; shift ;;
    -*) usage >&2; exit 64 ;;
    *) folder=$1 ;;
  esac
  shift
done

if [ -z "$binary" ]; then
  command -v swift >/dev/null || PATH=$PATH:/opt/swift/usr/bin
  swift build -c release --product martlet >&2
  binary=$(swift build -c release --show-bin-path)/martlet
fi
if ldd "$binary" | grep -q libswift; then
  echo "build-deb.sh: $binary needs Swift's libraries: make it with 'swift build -c release'" >&2
  exit 1
fi

# The same sources make the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
version=$("$binary" --version)-1
version=${version#martlet }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/debian/martlet

# put MODE FILE PLACE: copies a file into the package.
put() { install -D -m "$1" "$2" "$root$3"; }

put 755 "$binary" /usr/bin/martlet
strip --remove-section=.comment --remove-section=.note "$root/usr/bin/martlet"
put 644 packaging/martlet@.service /lib/systemd/system/martlet@.service
put 644 packaging/system/sysusers.conf /usr/lib/sysusers.d/martlet.conf
put 644 packaging/system/tmpfiles.conf /usr/lib/tmpfiles.d/martlet.conf
put 644 packaging/system/udev.rules /lib/udev/rules.d/60-martlet.rules
put 644 packaging/system/example.conf /etc/martlet/example.conf
put 755 hugepages-setup.sh /usr/share/martlet/hugepages-setup.sh

packaging/make-man.py "$binary" >"$work/martlet.1"
put 644 "$work/martlet.1" /usr/share/man/man1/martlet.1
for shell in bash zsh fish; do "$binary" --generate-completion-script "$shell" >"$work/$shell"; done
put 644 "$work/bash" /usr/share/bash-completion/completions/martlet
put 644 "$work/zsh" /usr/share/zsh/vendor-completions/_martlet
put 644 "$work/fish" /usr/share/fish/vendor_completions.d/martlet.fish

for page in README.md docs/*.md; do put 644 "$page" "/usr/share/doc/martlet/$(basename "$page")"; done
{
  cat packaging/debian/copyright
  sed -n '/^Redistribution/,$ { s/^$/./; s/^/ /; p }' LICENSE
} >"$work/copyright"
put 644 "$work/copyright" /usr/share/doc/martlet/copyright
cat >"$work/debian/changelog" <<END
martlet ($version) bookworm; urgency=medium

  * Commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown).

 -- The Martlet authors <martlet@localhost>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
put 644 "$work/debian/changelog" /usr/share/doc/martlet/changelog.Debian
gzip -9n "$root/usr/share/man/man1/martlet.1" "$root/usr/share/doc/martlet/changelog.Debian"

# What the binary is linked with, and DPDK's parts that EAL loads by itself: without the buses and the ring of mbufs nothing
# runs, af_packet is for interfaces of the kernel, all other drivers are recommended.
mkdir "$root/DEBIAN"
cp packaging/debian/control "$work/debian/control"
(cd "$work" && dpkg-shlibdeps --warnings=0 -O debian/martlet/usr/bin/martlet) >"$work/debian/substvars"
abi=$(grep -o 'librte-eal[0-9]*' "$work/debian/substvars" | tr -dc 0-9)
{
  echo "dpdk:Depends=librte-bus-pci$abi, librte-bus-vdev$abi, librte-mempool-ring$abi, librte-net-af-packet$abi"
  echo "dpdk:Recommends=librte-meta-net"
} >>"$work/debian/substvars"

(cd "$work" && dpkg-gencontrol -pmartlet -Tdebian/substvars -Pdebian/martlet >/dev/null 2>&1)
install -m 755 packaging/debian/post* packaging/debian/prerm "$root/DEBIAN/"
echo /etc/martlet/example.conf >"$root/DEBIAN/conffiles"
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)

mkdir -p "$folder"
package=$folder/martlet_${version}_$(dpkg --print-architecture).deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"

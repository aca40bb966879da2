#!/bin/bash
# Reserves, shows and releases hugepages, from which DPDK takes its packet buffers and martlet its flow tables. DPDK's own
# dpdk-hugepages.py (Debian: dpdk) does it; what this adds is a number of pages for each node, a look at the memory before, all
# nodes as they were where one cannot give its share, and an end to the mounts it made. Nothing here lasts over a reboot.
set -euo pipefail

readonly POOLS=/sys/kernel/mm/hugepages NODES=/sys/devices/system/node
# The directories that this script mounted, so that --release unmounts those and no other; a line is "KILOBYTES DIRECTORY".
readonly OUR_MOUNTS=/run/martlet-hugepages.mounts
readonly DEFAULT_MOUNT=/dev/hugepages

usage() {
    cat <<END_OF_USAGE
Usage: hugepages-setup.sh                       show what is reserved and mounted
       hugepages-setup.sh --pages N [options]   reserve N hugepages on every NUMA node
       hugepages-setup.sh --release [options]   give them back

  --pages N      have exactly N pages on each node (more or fewer than before); mounts hugetlbfs if nothing is mounted
  --size 2M|1G   the pages' size (2M)
  --node K       only on NUMA node K; the others stay as they are
  --mount DIR    where hugetlbfs is to be mounted ($DEFAULT_MOUNT; ${DEFAULT_MOUNT}1G when that holds pages of 2M)
  --release      have no pages of this size, and unmount what this script mounted
  --dry-run      print the commands, change nothing; needs no root
  --help         this text

Exit status: 0 done, 64 wrong usage, 1 anything else, with one line that says what to do.
To have the pages after every boot, add to the kernel's command line:
  default_hugepagesz=2M hugepagesz=2M hugepages=N        (or 1G; then they are also sure to be found)
END_OF_USAGE
}

fail() {
    echo "hugepages-setup.sh: $*" >&2
    exit 1
}

wrong_usage() {
    echo "hugepages-setup.sh: $* (see --help)" >&2
    exit 64
}

# --- what is wanted -------------------------------------------------------------------------------

ACTION=show PAGES='' SIZE=2M NODE='' MOUNT='' DRY=no DETAIL=''
while [ $# -gt 0 ]; do
    # --name=value is --name value
    case $1 in
        --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    esac
    case $1 in
        --pages | --size | --node | --mount) [ $# -gt 1 ] || wrong_usage "$1 needs a value" ;;
    esac
    case $1 in
        --help | -h) usage; exit 0 ;;
        --pages)
            [[ $2 =~ ^[0-9]{1,9}$ ]] || wrong_usage "--pages wants a number of pages, not '$2'"
            [ "$ACTION" != release ] || wrong_usage "--pages and --release exclude each other"
            PAGES=$((10#$2)) ACTION=reserve
            shift
            ;;
        --size)
            case $2 in
                2M | 2m | 2MB) SIZE=2M ;;
                1G | 1g | 1GB) SIZE=1G ;;
                *) wrong_usage "--size is 2M or 1G, not '$2'" ;;
            esac
            DETAIL=$1
            shift
            ;;
        --node)
            [[ $2 =~ ^[0-9]{1,4}$ ]] || wrong_usage "--node wants the number of a NUMA node, not '$2'"
            NODE=$((10#$2)) DETAIL=$1
            shift
            ;;
        --mount)
            [[ $2 == /* ]] || wrong_usage "--mount wants a directory that begins with /, not '$2'"
            MOUNT=$2 DETAIL=$1
            shift
            ;;
        --release)
            [ "$ACTION" != reserve ] || wrong_usage "--pages and --release exclude each other"
            ACTION=release
            ;;
        --dry-run) DRY=yes ;;
        *) wrong_usage "unknown argument '$1'" ;;
    esac
    shift
done
[ "$ACTION" != show ] || [ -z "$DETAIL" ] || wrong_usage "$DETAIL goes with --pages or --release"
[ "$ACTION" != release ] || [ -z "$MOUNT" ] ||
    wrong_usage "--mount goes with --pages; --release unmounts what this script mounted"

# --- can it be done? ------------------------------------------------------------------------------

[ -d "$POOLS" ] || fail "this kernel has no hugepages (no $POOLS); boot one with CONFIG_HUGETLBFS"
# Debian has it in /usr/bin, others beside the sources.
[ "$DRY" = yes ] || command -v dpdk-hugepages.py >/dev/null ||
    fail "there is no dpdk-hugepages.py on PATH; install DPDK's tools (Debian: apt-get install dpdk)"
if [ "$ACTION" = show ]; then
    dpdk-hugepages.py --show
    echo "To reserve 512 pages of 2M on each node: sudo ./hugepages-setup.sh --pages 512 (see --help)"
    exit 0
fi

KILOBYTES=2048
[ "$SIZE" = 2M ] || KILOBYTES=1048576
[ -d "$POOLS/hugepages-${KILOBYTES}kB" ] || fail "this machine has no pages of $SIZE (no $POOLS/hugepages-${KILOBYTES}kB); use the other --size"

# The ids of the NUMA nodes that can have hugepages (a node without memory cannot); none without NUMA.
mapfile -t CHOSEN < <(for node in "$NODES"/node[0-9]*; do
    [ ! -d "$node/hugepages" ] || echo "${node##*/node}"
done | sort -n)
NODE_COUNT=${#CHOSEN[@]}
if [ -n "$NODE" ]; then
    [ -d "$NODES/node$NODE/hugepages" ] ||
        fail "there is no NUMA node $NODE with memory; use one of: ${CHOSEN[*]:-none, so leave --node out}"
    CHOSEN=("$NODE")
fi
# An empty id is a machine without NUMA.
[ "$NODE_COUNT" -gt 0 ] || CHOSEN=("")
[ "$DRY" = yes ] || [ "$(id -u)" -eq 0 ] ||
    fail "only root can change hugepages; run it with sudo, or add --dry-run to see what it would do"

# --- doing it -------------------------------------------------------------------------------------

place() { if [ -n "$1" ]; then echo "node $1"; else echo "this machine"; fi; }

# run COMMAND…: prints it instead when only asked to.
run() { if [ "$DRY" = yes ]; then echo "${*@Q}" | tr -d "'"; else "$@"; fi; }

# The pages that a node has.
pages_on() {
    local pool=$POOLS
    [ -z "$1" ] || pool=$NODES/node$1/hugepages
    cat "$pool/hugepages-${KILOBYTES}kB/nr_hugepages"
}

# set_pages NODE N: fails where the node then has another number.
set_pages() {
    run dpdk-hugepages.py --pagesize "$SIZE" --reserve "$(($2 * KILOBYTES))K" ${1:+--node "$1"} >/dev/null 2>&1
}

# The memory that could become hugepages on a node, in kB: free, or given back without loss.
available_on() {
    # With one node the kernel's own estimate is the better one.
    if [ "$NODE_COUNT" -gt 1 ]; then
        awk '$3 == "MemFree:" || $3 == "Active(file):" || $3 == "Inactive(file):" || $3 == "SReclaimable:" { sum += $4 }
            END { printf "%d\n", sum }' "$NODES/node$1/meminfo"
    else
        awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo
    fi
}

# Before anything is changed: the kernel would take the last free page and leave the machine short of memory.
check_memory() {
    local node before available
    for node in "${CHOSEN[@]}"; do
        before=$(pages_on "$node")
        [ "$PAGES" -gt "$before" ] || continue
        available=$(available_on "$node")
        [ $(((PAGES - before) * KILOBYTES)) -le "$available" ] ||
            fail "$(place "$node") has $((available / 1024)) MB to give, but $((PAGES - before)) more pages of $SIZE need $(((PAGES - before) * KILOBYTES / 1024)) MB; nothing was changed, use --pages $((before + available * 9 / 10 / KILOBYTES)) or fewer"
    done
}

# Sets every chosen node to PAGES. If one of them gets fewer, all go back to what they had.
reserve() {
    local node done_nodes=() index got before=()
    for node in "${CHOSEN[@]}"; do
        before+=("$(pages_on "$node")")
        done_nodes+=("$node")
        if [ "$DRY" = yes ]; then
            echo "dpdk-hugepages.py --pagesize $SIZE --reserve $((PAGES * KILOBYTES))K${node:+ --node $node}"
            continue
        fi
        # Free memory may be in small pieces: the kernel moves them together before the second attempt.
        set_pages "$node" "$PAGES" || { { echo 1 >/proc/sys/vm/compact_memory; } 2>/dev/null || true; set_pages "$node" "$PAGES" || true; }
        got=$(pages_on "$node")
        [ "$got" -le "$PAGES" ] ||
            fail "$(place "$node") still has $got pages of $SIZE, because programs (or files of ended ones, see 'ls $DEFAULT_MOUNT') use them; end those and run this again"
        [ "$got" -lt "$PAGES" ] || { echo "$(place "$node") has $got pages of $SIZE (before: ${before[-1]})"; continue; }
        for index in "${!done_nodes[@]}"; do set_pages "${done_nodes[index]}" "${before[index]}" || true; done
        fail "$(place "$node") could give only $got of $PAGES pages of $SIZE, because its memory is in pieces or in use, or this is a container; nothing was changed, use --pages $got, end some programs, or reserve at boot (hugepagesz=$SIZE hugepages=$PAGES)"
    done
}

# A hugetlbfs mount, by the kernel's name for the page size (2M, 1024M): its directory; of --mount's alone where that is given.
mounted() {
    awk -v size="pagesize=$((KILOBYTES / 1024))M" -v directory="$MOUNT" '$3 == "hugetlbfs" && index("," $4 ",", "," size ",") &&
        (directory == "" || directory == $2) && !found { found = $2 } END { print found }' /proc/mounts
}

# Decides where to mount, before anything is changed: MOUNT stays empty where pages of this size are mounted already.
plan_mount() {
    local there
    there=$(mounted)
    if [ -n "$there" ]; then
        echo "pages of $SIZE are mounted at $there"
        MOUNT=
        return
    fi
    if [ -z "$MOUNT" ]; then
        MOUNT=$DEFAULT_MOUNT
        # DPDK finds both, so the smaller pages can keep the usual place.
        [ "$SIZE" = 2M ] || ! mountpoint -q "$MOUNT" || MOUNT=${DEFAULT_MOUNT}1G
    fi
    ! mountpoint -q "$MOUNT" || fail "$MOUNT is a mount of something else; choose another directory with --mount"
    [ ! -e "$MOUNT" ] || [ -d "$MOUNT" ] || fail "$MOUNT is not a directory; choose another with --mount"
    [ -z "$(ls -A "$MOUNT" 2>/dev/null)" ] ||
        fail "$MOUNT is not empty, and a mount would hide what is in it; choose another directory with --mount"
}

mount_hugetlbfs() {
    [ -n "$MOUNT" ] || return 0
    run mkdir -p "$MOUNT" || fail "the pages are reserved, but the directory $MOUNT cannot be made; choose another with --mount"
    run dpdk-hugepages.py --pagesize "$SIZE" --mount --directory "$MOUNT"
    [ "$DRY" = no ] || return 0
    # dpdk-hugepages.py does not tell by its status.
    [ "$(mounted)" = "$MOUNT" ] ||
        fail "the pages are reserved, but hugetlbfs cannot be mounted at $MOUNT; in a container mount it on the host and pass it in, or start martlet with --in-memory"
    echo "$KILOBYTES $MOUNT" >>"$OUR_MOUNTS"
    echo "pages of $SIZE are mounted at $MOUNT"
}

# Unmounts what this script mounted for this size. With --node the other nodes still need it.
unmount_ours() {
    local size directory kept=()
    [ -z "$NODE" ] && [ -s "$OUR_MOUNTS" ] || return 0
    while read -r size directory; do
        if [ "$size" != "$KILOBYTES" ]; then kept+=("$size $directory"); continue; fi
        run dpdk-hugepages.py --unmount --directory "$directory"
        # What somebody else has unmounted meanwhile is not remembered either.
        [ "$DRY" = yes ] || ! mountpoint -q "$directory" || { kept+=("$size $directory"); echo "hugepages-setup.sh: cannot unmount $directory, because a program uses it; end it and run this again" >&2; }
    done <"$OUR_MOUNTS"
    [ "$DRY" = no ] || return 0
    rm -f "$OUR_MOUNTS"
    [ ${#kept[@]} -eq 0 ] || printf '%s\n' "${kept[@]}" >"$OUR_MOUNTS"
}

if [ "$ACTION" = release ]; then
    PAGES=0
    unmount_ours
    reserve
else
    check_memory
    plan_mount
    reserve
    mount_hugetlbfs
fi

#!/bin/bash
# Reserves, shows and releases hugepages, from which DPDK takes its packet buffers and martlet its flow tables.
# Nothing here lasts over a reboot; for that, see the end of --help.
set -euo pipefail

readonly NODES=/sys/devices/system/node        # one pool for each NUMA node …
readonly POOLS=/sys/kernel/mm/hugepages        # … and their sums, all there is without NUMA
# The mounts we made, so that --release takes away those and no other: "DIRECTORY" or "new DIRECTORY" (we made it, too).
readonly OUR_MOUNTS=/run/martlet-hugepages.mounts
readonly DEFAULT_MOUNT=/dev/hugepages

usage() {
    cat <<END
Usage: hugepages-setup.sh                       show what is reserved and mounted
       hugepages-setup.sh --pages N [options]   reserve N hugepages on every NUMA node
       hugepages-setup.sh --release [options]   give them back

  --pages N      have exactly N pages on each node (more or fewer than now); mounts hugetlbfs if nothing is mounted
  --size 2M|1G   the pages' size (2M)
  --node K       only on NUMA node K; the others stay as they are
  --mount DIR    where hugetlbfs is to be mounted ($DEFAULT_MOUNT; ${DEFAULT_MOUNT}1G when that holds pages of 2M)
  --release      have no pages of this size, and unmount what this script mounted
  --dry-run      print the commands, change nothing; needs no root
  --help         this text

Exit status: 0 done, 64 wrong usage, 1 anything else, with one line that says what to do.
To have the pages after every boot, add to the kernel's command line:
  default_hugepagesz=2M hugepagesz=2M hugepages=N        (or 1G; then they are also sure to be found)
END
}

fail() {
    echo "hugepages-setup.sh: $*" >&2
    exit 1
}

wrong_usage() {
    echo "hugepages-setup.sh: $* (see --help)" >&2
    exit 64
}

# --- what there is --------------------------------------------------------------------------------

# 2M for the kernel's 2048kB.
size_name() {
    if (($1 % 1048576 == 0)); then echo "$(($1 / 1048576))G"
    elif (($1 % 1024 == 0)); then echo "$(($1 / 1024))M"
    else echo "${1}K"
    fi
}

# The ids of the NUMA nodes that can have hugepages (a node without memory cannot), in order.
node_ids() {
    local directory
    for directory in "$NODES"/node[0-9]*/hugepages; do
        [ -d "$directory" ] || continue
        directory=${directory%/hugepages}
        echo "${directory##*/node}"
    done | sort -n
}

# pool NODE KILOBYTES: the directory with the counters. NODE is empty without NUMA.
pool() {
    if [ -n "$1" ]; then echo "$NODES/node$1/hugepages/hugepages-$2kB"; else echo "$POOLS/hugepages-$2kB"; fi
}

count() {
    local value=0
    # A pool may lack a counter (gigantic pages have no surplus on some kernels).
    if [ -r "$1" ]; then read -r value < "$1"; fi
    echo "$value"
}

# The kernel shows a mount's page size as 2M or 1024M.
mount_option() {
    echo "pagesize=$(($1 / 1024))M"
}

# Every hugetlbfs mount, as DIRECTORY<tab>OPTIONS. (/proc/mounts writes a blank in a name as \040.)
hugetlbfs_mounts() {
    local directory kind options
    while read -r _ directory kind options _; do
        [ "$kind" != hugetlbfs ] || printf '%b\t%s\n' "${directory//\\/\\0}" "$options"
    done < /proc/mounts
}

# mounted_for KILOBYTES: the first directory where pages of that size are mounted; fails when there is none.
mounted_for() {
    local directory options
    while IFS=$'\t' read -r directory options; do
        case ",$options," in
            *",$(mount_option "$1"),"*) echo "$directory"; return 0 ;;
        esac
    done < <(hugetlbfs_mounts)
    return 1
}

show() {
    local node kilobytes directory options total nodes sizes=() any=no
    [ -d "$POOLS" ] || fail "this kernel has no hugepages (no $POOLS); boot one with CONFIG_HUGETLBFS"
    mapfile -t nodes < <(node_ids)
    [ ${#nodes[@]} -gt 0 ] || nodes=("")
    mapfile -t sizes < <(for directory in "$POOLS"/hugepages-*kB; do
        directory=${directory##*hugepages-}
        echo "${directory%kB}"
    done | sort -n)
    printf '%-6s %6s %8s %8s %8s %12s\n' node size total free surplus reserved
    for node in "${nodes[@]}"; do
        for kilobytes in "${sizes[@]}"; do
            directory=$(pool "$node" "$kilobytes")
            [ -d "$directory" ] || continue
            total=$(count "$directory/nr_hugepages")
            printf '%-6s %6s %8d %8d %8d %9d MB\n' "${node:--}" "$(size_name "$kilobytes")" "$total" \
                "$(count "$directory/free_hugepages")" \
                "$(count "$directory/surplus_hugepages")" \
                $((total * kilobytes / 1024))
        done
    done
    while IFS=$'\t' read -r directory options; do
        any=yes
        options=${options##*pagesize=}
        options=${options%%,*}
        [ "$options" != 1024M ] || options=1G
        echo "hugetlbfs: $directory, pages of $options"
    done < <(hugetlbfs_mounts)
    [ "$any" = yes ] || echo "hugetlbfs: not mounted"
}

# --- what is wanted -------------------------------------------------------------------------------

ACTION=show PAGES='' SIZE=2M NODE='' MOUNT='' DRY=no DETAILS=()

while [ $# -gt 0 ]; do
    # --name=value is --name value
    case $1 in
        --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    esac
    case $1 in
        --pages | --size | --node | --mount)
            [ $# -gt 1 ] || wrong_usage "$1 needs a value"
            ;;
    esac
    case $1 in
        --help | -h) usage; exit 0 ;;
        --pages)
            [[ $2 =~ ^[0-9]{1,9}$ ]] || wrong_usage "--pages wants a number of pages, not '$2'"
            PAGES=$((10#$2))
            shift
            ;;
        --size)
            case $2 in
                2M | 2m | 2MB) SIZE=2M ;;
                1G | 1g | 1GB) SIZE=1G ;;
                *) wrong_usage "--size is 2M or 1G, not '$2'" ;;
            esac
            DETAILS+=(--size)
            shift
            ;;
        --node)
            [[ $2 =~ ^[0-9]{1,4}$ ]] || wrong_usage "--node wants the number of a NUMA node, not '$2'"
            NODE=$((10#$2))
            DETAILS+=(--node)
            shift
            ;;
        --mount)
            [[ $2 == /* ]] || wrong_usage "--mount wants a directory that begins with /, not '$2'"
            MOUNT=$2
            DETAILS+=(--mount)
            shift
            ;;
        --release) ACTION=release ;;
        --dry-run) DRY=yes ;;
        *) wrong_usage "unknown argument '$1'" ;;
    esac
    shift
done

if [ -n "$PAGES" ]; then
    [ "$ACTION" = show ] || wrong_usage "--pages and --release exclude each other"
    ACTION=reserve
fi
if [ "$ACTION" = show ]; then
    [ ${#DETAILS[@]} -eq 0 ] || wrong_usage "${DETAILS[0]} goes with --pages or --release"
    show
    echo "To reserve 512 pages of 2M on each node: sudo ./hugepages-setup.sh --pages 512 (see --help)"
    exit 0
fi
if [ "$ACTION" = release ] && [ -n "$MOUNT" ]; then
    wrong_usage "--mount goes with --pages; --release unmounts what this script mounted"
fi

# --- can it be done? ------------------------------------------------------------------------------

case $SIZE in
    2M) KILOBYTES=2048 CPU_FLAG=pse ;;
    1G) KILOBYTES=1048576 CPU_FLAG=pdpe1gb ;;
esac

[ -d "$POOLS" ] || fail "this kernel has no hugepages (no $POOLS); boot one with CONFIG_HUGETLBFS"
if [ ! -d "$POOLS/hugepages-${KILOBYTES}kB" ]; then
    other=2M
    [ "$SIZE" = 1G ] || other=1G
    if grep -q '^flags' /proc/cpuinfo && ! grep -qw "$CPU_FLAG" /proc/cpuinfo; then
        fail "this CPU has no pages of $SIZE (no $CPU_FLAG in /proc/cpuinfo); use --size $other"
    fi
    fail "this kernel has no pages of $SIZE (no $POOLS/hugepages-${KILOBYTES}kB); use --size $other"
fi

mapfile -t KNOWN < <(node_ids)
if [ -n "$NODE" ]; then
    [ -d "$NODES/node$NODE/hugepages" ] || fail "there is no NUMA node $NODE with memory; use one of: ${KNOWN[*]:-none, so leave --node out}"
    CHOSEN=("$NODE")
elif [ ${#KNOWN[@]} -gt 0 ]; then
    CHOSEN=("${KNOWN[@]}")
else
    CHOSEN=("")
fi

if [ "$DRY" = no ] && [ "$(id -u)" -ne 0 ]; then
    fail "only root can change hugepages; run it with sudo, or add --dry-run to see what it would do"
fi

# --- doing it -------------------------------------------------------------------------------------

place() {
    if [ -n "$1" ]; then echo "node $1"; else echo "this machine"; fi
}

# run COMMAND…: prints it instead when only asked to.
run() {
    if [ "$DRY" = yes ]; then
        printf '%q ' "$@" | sed 's/ $//'
        echo
        return 0
    fi
    "$@"
}

# set_pages NODE N: asks the kernel, and tells (by its status) whether it took the number at all.
set_pages() {
    local file
    file=$(pool "$1" "$KILOBYTES")/nr_hugepages
    if [ "$DRY" = yes ]; then
        echo "echo $2 > $file"
        return 0
    fi
    # In braces, because the shell itself complains when it cannot open the file.
    { echo "$2" > "$file"; } 2>/dev/null
}

total_on() {
    count "$(pool "$1" "$KILOBYTES")/nr_hugepages"
}

# The memory that could become hugepages on a node, in kB: free, or given back without loss.
available_on() {
    # With one node the kernel's own estimate is the better one.
    if [ ${#KNOWN[@]} -gt 1 ]; then
        awk '$3 == "MemFree:" || $3 == "Active(file):" || $3 == "Inactive(file):" || $3 == "SReclaimable:" { sum += $4 }
            END { printf "%d\n", sum }' "$NODES/node$1/meminfo"
    else
        awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo
    fi
}

# Before anything is changed: the kernel would take the last free page and leave the machine short of memory.
check_memory() {
    local node now needed available
    for node in "${CHOSEN[@]}"; do
        now=$(total_on "$node")
        [ "$PAGES" -gt "$now" ] || continue
        needed=$(((PAGES - now) * KILOBYTES))
        available=$(available_on "$node")
        if [ "$needed" -gt "$available" ]; then
            fail "$(place "$node") has $((available / 1024)) MB to give, but $((PAGES - now)) more pages of $SIZE need $((needed / 1024)) MB; nothing was changed, use --pages $((now + available * 9 / 10 / KILOBYTES)) or fewer"
        fi
    done
}

# Sets every chosen node to PAGES. If one of them gets fewer, all go back to what they had.
reserve() {
    local node before=() after=() now index
    for node in "${CHOSEN[@]}"; do
        before+=("$(total_on "$node")")
    done
    for index in "${!CHOSEN[@]}"; do
        node=${CHOSEN[index]}
        if [ "${before[index]}" -eq "$PAGES" ]; then
            after+=("$(place "$node") has $PAGES pages of $SIZE already")
            continue
        fi
        set_pages "$node" "$PAGES" || {
            put_back "$index" "${before[@]}"
            fail "the kernel refuses to set $(pool "$node" "$KILOBYTES")/nr_hugepages; in a container run this on the host, else reserve at boot (hugepagesz=$SIZE hugepages=$PAGES)"
        }
        [ "$DRY" = no ] || continue
        now=$(total_on "$node")
        if [ "$now" -lt "$PAGES" ]; then
            # Free memory in small pieces: have the kernel move them together, and ask once more.
            { echo 1 > /proc/sys/vm/compact_memory; } 2>/dev/null || true
            set_pages "$node" "$PAGES" || true
            now=$(total_on "$node")
        fi
        if [ "$now" -lt "$PAGES" ]; then
            put_back "$index" "${before[@]}"
            fail "$(place "$node") could give only $now of $PAGES pages of $SIZE, because its memory is in pieces or in use; nothing was changed, use --pages $now, end some programs, or reserve at boot (hugepagesz=$SIZE hugepages=$PAGES)"
        fi
        check_in_use "$node" "$PAGES" "$now"
        after+=("$(place "$node") has $now pages of $SIZE now (before: ${before[index]})")
    done
    # Only now is it sure that nothing has to be put back.
    [ ${#after[@]} -eq 0 ] || printf '%s\n' "${after[@]}"
}

# put_back INDEX BEFORE…: the nodes up to that index as they were.
put_back() {
    local last=$1 index
    shift
    local before=("$@")
    for ((index = 0; index <= last; index++)); do
        set_pages "${CHOSEN[index]}" "${before[index]}" || true
    done
}

# check_in_use NODE WANTED NOW: the kernel keeps pages that a program uses, whatever we ask for.
check_in_use() {
    [ "$3" -le "$2" ] || fail "$(place "$1") still has $3 pages of $SIZE, because programs (or files of ended ones, see 'ls $(mounted_for "$KILOBYTES" || echo $DEFAULT_MOUNT)') use them; end those and run this again"
}

is_mount_point() {
    findmnt --mountpoint "$1" >/dev/null 2>&1
}

# Decides where to mount, before anything is changed: MOUNT_AT stays empty when pages of this size are mounted
# where they are wanted (anywhere, without --mount).
plan_mount() {
    local directory=$MOUNT options
    MOUNT_AT=
    if [ -z "$directory" ]; then
        if MOUNTED=$(mounted_for "$KILOBYTES"); then
            return 0
        fi
        directory=$DEFAULT_MOUNT
        # DPDK finds both, so the smaller pages can keep the usual place.
        if [ "$SIZE" = 1G ] && is_mount_point "$directory"; then
            directory=${DEFAULT_MOUNT}1G
        fi
    fi
    if is_mount_point "$directory"; then
        [ "$(findmnt -n -o FSTYPE --mountpoint "$directory" | tail -1)" = hugetlbfs ] ||
            fail "$directory is a mount of something else; choose another directory with --mount"
        options=$(findmnt -n -o OPTIONS --mountpoint "$directory" | tail -1)
        case ",$options," in
            *",$(mount_option "$KILOBYTES"),"*) MOUNTED=$directory; return 0 ;;
        esac
        fail "$directory holds pages of another size; choose another directory for $SIZE with --mount"
    fi
    if [ -e "$directory" ] && [ ! -d "$directory" ]; then
        fail "$directory is not a directory; choose another with --mount"
    fi
    if [ -d "$directory" ] && [ -n "$(ls -A "$directory" 2>/dev/null)" ]; then
        fail "$directory is not empty, and a mount would hide what is in it; choose another directory with --mount"
    fi
    MOUNT_AT=$directory
}

mount_hugetlbfs() {
    local made=''
    if [ -z "$MOUNT_AT" ]; then
        echo "pages of $SIZE are mounted at $MOUNTED already"
        return 0
    fi
    if [ ! -d "$MOUNT_AT" ]; then
        run mkdir -p "$MOUNT_AT" 2>/dev/null ||
            fail "the pages are reserved, but the directory $MOUNT_AT cannot be made; choose another with --mount"
        made='new '
    fi
    run mount -t hugetlbfs -o "$(mount_option "$KILOBYTES")" none "$MOUNT_AT" 2>/dev/null ||
        fail "the pages are reserved, but hugetlbfs cannot be mounted at $MOUNT_AT; in a container mount it on the host and pass it in, or start martlet with --in-memory"
    [ "$DRY" = no ] || return 0
    echo "$made$MOUNT_AT" >> "$OUR_MOUNTS"
    echo "pages of $SIZE are mounted at $MOUNT_AT now"
}

release() {
    local node now
    for node in "${CHOSEN[@]}"; do
        set_pages "$node" 0 || fail "the kernel refuses to set $(pool "$node" "$KILOBYTES")/nr_hugepages; in a container run this on the host"
    done
    unmount_ours
    [ "$DRY" = no ] || return 0
    for node in "${CHOSEN[@]}"; do
        now=$(total_on "$node")
        check_in_use "$node" 0 "$now"
        echo "$(place "$node") has no pages of $SIZE now"
    done
}

# Unmounts what we mounted for this size. With --node the other nodes still need it.
unmount_ours() {
    local line directory kept=() busy=''
    [ -z "$NODE" ] || return 0
    [ -s "$OUR_MOUNTS" ] || return 0
    while read -r line; do
        directory=${line#new }
        # Somebody else has unmounted it meanwhile: nothing to do, nothing to remember.
        [ "$(findmnt -n -o FSTYPE --mountpoint "$directory" 2>/dev/null | tail -1)" = hugetlbfs ] || continue
        case ",$(findmnt -n -o OPTIONS --mountpoint "$directory" | tail -1)," in
            *",$(mount_option "$KILOBYTES"),"*) ;;
            *) kept+=("$line"); continue ;;
        esac
        if run umount "$directory" 2>/dev/null; then
            [ "$line" = "$directory" ] || run rmdir "$directory" 2>/dev/null || true
            [ "$DRY" = yes ] || echo "unmounted $directory"
        else
            kept+=("$line")
            busy=$directory
        fi
    done < "$OUR_MOUNTS"
    [ "$DRY" = no ] || return 0
    if [ ${#kept[@]} -gt 0 ]; then
        printf '%s\n' "${kept[@]}" > "$OUR_MOUNTS"
    else
        rm -f "$OUR_MOUNTS"
    fi
    [ -z "$busy" ] || fail "cannot unmount $busy, because a program uses it; end it and run this again"
}

case $ACTION in
    reserve)
        check_memory
        plan_mount
        reserve
        mount_hugetlbfs
        ;;
    release) release ;;
esac

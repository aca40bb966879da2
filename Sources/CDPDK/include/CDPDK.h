// DPDK for Swift: the headers and static-inline accessors for what Swift's importer cannot express
// (over-aligned structs, macros, bit-fields, inline driver calls). No logic lives here.
//
// Hot calls are static inline, so that they inline into Swift's loops; what runs once at start is in
// CDPDK.c. Only stable API is used, but for rte_eth_read_clock and rte_bpf_convert; DPDKVersions.h has
// what 22.11, 23.11 and 24.11 name differently.
#ifndef CDPDK_H
#define CDPDK_H
// cpu_set_t, which DPDK's rte_cpuset_t is; Swift's importer defines this itself.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_pause.h>
#include <rte_pdump.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <rte_telemetry.h>
#include <rte_version.h>

#include "DPDKVersions.h"

// Receiving: mbufs are OpaquePointer in Swift, because struct rte_mbuf is over-aligned.

/// Receives at most `count` mbufs from a queue; returns how many.
static inline uint16_t martlet_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count) {
  return rte_eth_rx_burst(port, queue, mbufs, count);
}
/// The first byte of the mbuf's first segment.
static inline const void *martlet_mbuf_data(const struct rte_mbuf *mbuf) {
  return rte_pktmbuf_mtod(mbuf, const void *);
}
/// Bytes in the mbuf's first segment.
static inline uint16_t martlet_mbuf_data_length(const struct rte_mbuf *mbuf) { return mbuf->data_len; }
/// Bytes in all segments: the frame's length on the wire.
static inline uint32_t martlet_mbuf_packet_length(const struct rte_mbuf *mbuf) { return mbuf->pkt_len; }
/// Segments of the packet; 1 for most.
static inline uint16_t martlet_mbuf_segments(const struct rte_mbuf *mbuf) { return mbuf->nb_segs; }
/// The next segment, or NULL.
static inline struct rte_mbuf *martlet_mbuf_next(const struct rte_mbuf *mbuf) { return mbuf->next; }
/// What the driver says about the packet: bits, some of them given out at run time.
static inline uint64_t martlet_mbuf_flags(const struct rte_mbuf *mbuf) { return mbuf->ol_flags; }
/// The 64-bit field at `offset`, as `martlet_timestamp_register` gave it.
static inline uint64_t martlet_mbuf_field(const struct rte_mbuf *mbuf, int32_t offset) {
  return *RTE_MBUF_DYNFIELD(mbuf, offset, const uint64_t *);
}
/// Gives `count` packets back to their pools, all segments of each.
static inline void martlet_mbuf_free_bulk(struct rte_mbuf **mbufs, uint16_t count) {
  rte_pktmbuf_free_bulk(mbufs, count);
}
/// Prefetches the cache line at `address` for reading; never faults.
static inline void martlet_prefetch_read(const void *address) { rte_prefetch0(address); }
/// Tells the CPU that this is a polling loop.
static inline void martlet_pause(void) { rte_pause(); }

// Filters. DPDK's header of BPF has macros of the same names as libpcap's, so that it is included in CDPDK.c only.

struct rte_bpf;
/// A filter as native code: other than 0 for an mbuf that passes.
typedef uint64_t (*martlet_bpf_function)(void *mbuf);
/// Makes eBPF of libpcap's `struct bpf_program` and loads it; NULL with rte_errno set where DPDK cannot take it. After
/// EAL's start, because rte_bpf_convert (experimental in all versions) takes memory from it.
struct rte_bpf *martlet_bpf_load(const void *program);
/// The filter as native code; NULL without a filter, or where DPDK has no compiler for the CPU or may not make code.
martlet_bpf_function martlet_bpf_native(const struct rte_bpf *filter);
/// Runs the filter in DPDK's interpreter: `results` are as native code gives them.
void martlet_bpf_run(const struct rte_bpf *filter, struct rte_mbuf **mbufs, uint64_t *results, uint32_t count);
/// Frees the filter; nothing for NULL.
void martlet_bpf_destroy(struct rte_bpf *filter);

// Rings with one producer and one consumer.

/// Puts up to `count` pointers into the ring; returns how many fitted.
static inline unsigned martlet_ring_enqueue(struct rte_ring *ring, void *const *objects, unsigned count) {
  return rte_ring_sp_enqueue_burst(ring, objects, count, NULL);
}
/// Takes up to `count` pointers out of the ring; returns how many.
static inline unsigned martlet_ring_dequeue(struct rte_ring *ring, void **objects, unsigned count) {
  return rte_ring_sc_dequeue_burst(ring, objects, count, NULL);
}
/// How many objects the ring holds; for anybody.
static inline unsigned martlet_ring_count(const struct rte_ring *ring) { return rte_ring_count(ring); }
/// A ring of at least `count` slots on `socket`, or NULL with rte_errno set.
struct rte_ring *martlet_ring_create(const char *name, unsigned count, int socket);

// EAL, lcores and errors.

/// DPDK's per-thread error number.
static inline int martlet_errno(void) { return rte_errno; }
/// The errno text of DPDK; valid until the thread's next call.
static inline const char *martlet_error_text(int number) { return rte_strerror(number); }
/// The next enabled lcore after `lcore` (UINT_MAX to start), main skipped; RTE_MAX_LCORE at the end.
static inline unsigned martlet_next_worker_lcore(unsigned lcore) { return rte_get_next_lcore(lcore, 1, 0); }
/// RTE_MAX_LCORE.
static inline unsigned martlet_lcore_limit(void) { return RTE_MAX_LCORE; }
/// Whether the lcore may run on the CPU.
static inline bool martlet_lcore_has_cpu(unsigned lcore, unsigned cpu) {
  rte_cpuset_t cpus = rte_lcore_cpuset(lcore);
  return cpu < CPU_SETSIZE && CPU_ISSET(cpu, &cpus);
}
/// Remembers the CPUs on which the calling thread may run; before EAL starts, which puts it on one.
void martlet_note_cpus(void);
/// Lets the calling thread run where no lcore does, of the CPUs that martlet_note_cpus saw, as DPDK's control threads;
/// where lcores have all of them, with the main lcore. Threads that it makes inherit that. Nothing happens without EAL.
void martlet_leave_lcores(void);

// Ports.

/// What a port's device says about itself, in plain fields (struct rte_eth_dev_info has bit-fields).
struct martlet_port_info {
  const char *driver;    ///< driver name, as net_pcap
  const char *device;    ///< device name, as net_pcap0 or 0000:03:00.0
  const char *arguments; ///< device arguments after the name; "" when there are none
  int socket;            ///< NUMA socket, or SOCKET_ID_ANY
  unsigned if_index;     ///< the kernel's number of the device; 0 when it has none
  uint16_t max_rx_queues;
  uint16_t max_tx_queues;
  uint16_t min_mtu;
  uint16_t max_mtu; ///< UINT16_MAX when the device does not say
  uint32_t max_rx_pktlen;
  uint32_t min_rx_bufsize;
  uint16_t preferred_rx_descriptors; ///< 0 when the device does not say
  uint16_t max_rx_segments;          ///< 0 when the device does not say
  uint8_t hash_key_size;             ///< bytes; 0 when the device does not say
  uint64_t rss_functions;            ///< RTE_ETH_RSS_ bits that the device can hash
  bool can_scatter;                  ///< a packet may span several mbufs
  bool tells_link;                   ///< the driver says when the link changes
  bool tells_removal;                ///< the driver says when the device goes away
  bool can_timestamp;                ///< RTE_ETH_RX_OFFLOAD_TIMESTAMP: packets can carry the device's time
};
/// Fills `info`; 0, or a negative errno.
int martlet_port_info_get(uint16_t port, struct martlet_port_info *info);

/// How to configure a port.
struct martlet_port_setup {
  uint16_t rx_queues;
  uint16_t tx_queues;
  uint16_t mtu; ///< 0: the device's default
  bool scatter;
  bool timestamp;         ///< packets shall carry the device's time
  uint64_t rss_functions; ///< 0: no RSS
  uint8_t *rss_key;       ///< NULL: the device's key
  uint8_t rss_key_length; ///< bytes
};
/// rte_eth_dev_configure from plain fields; 0, or a negative errno.
int martlet_port_configure(uint16_t port, const struct martlet_port_setup *setup);
/// rte_eth_rx_queue_setup with the device's default thresholds; 0, or a negative errno.
int martlet_rx_queue_setup(
    uint16_t port, uint16_t queue, uint16_t descriptors, int socket, bool scatter, bool timestamp,
    struct rte_mempool *pool);
/// rte_eth_tx_queue_setup with the device's defaults; 0, or a negative errno.
int martlet_tx_queue_setup(uint16_t port, uint16_t queue, uint16_t descriptors, int socket);
/// Where packets' times are: the field's offset in an mbuf and the flag of packets that have one, registered on the
/// first call. False when mbufs have no room for it.
bool martlet_timestamp_register(int32_t *offset, uint64_t *flag);
/// The device's clock in its own ticks; 0, or a negative errno.
int martlet_port_clock(uint16_t port, uint64_t *ticks);
/// 1 where the link is up, 0 where it is down, with its speed in Mb/s, 0 when the device does not say; or a negative
/// errno.
int martlet_port_link(uint16_t port, uint32_t *megabits);
/// The link's speed in Mb/s; 0 when the device does not say or has no link.
uint32_t martlet_port_speed(uint16_t port);
/// The first port at or after `port` that nobody owns (RTE_ETH_FOREACH_DEV); RTE_MAX_ETHPORTS at the end.
uint16_t martlet_next_port(uint16_t port);
/// RTE_MAX_ETHPORTS.
uint16_t martlet_port_limit(void);
/// The hash functions that put both directions of a flow on one queue with a symmetric key.
uint64_t martlet_flow_hash_functions(void);
/// Those of them that look at addresses alone.
uint64_t martlet_address_hash_functions(void);
/// The bit that has a packet's innermost headers hashed.
uint64_t martlet_innermost_hash(void);
/// A pool of packet buffers, or NULL with rte_errno set. `data_room` includes the headroom.
struct rte_mempool *martlet_mbuf_pool_create(
    const char *name, unsigned count, unsigned cache, uint16_t data_room, int socket);
/// RTE_PKTMBUF_HEADROOM.
uint16_t martlet_mbuf_headroom(void);
/// Bytes of data in an ordinary mbuf, headroom not included (RTE_MBUF_DEFAULT_DATAROOM).
uint16_t martlet_mbuf_data_room(void);
#endif

// DPDK for Swift: the headers and static-inline accessors for what Swift's importer cannot express
// (over-aligned structs, macros, bit-fields, inline driver calls). No logic lives here.
#ifndef CDPDK_H
#define CDPDK_H
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_lcore.h>
#include <rte_errno.h>
#include <rte_launch.h>

static inline uint16_t martlet_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count) {
  return rte_eth_rx_burst(port, queue, mbufs, count);
}
static inline const void *martlet_mbuf_data(const struct rte_mbuf *mbuf) {
  return rte_pktmbuf_mtod(mbuf, const void *);
}
static inline uint16_t martlet_mbuf_data_length(const struct rte_mbuf *mbuf) { return mbuf->data_len; }
#endif

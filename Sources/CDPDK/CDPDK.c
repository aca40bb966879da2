// The accessors that run once at start, or once a second: structs with bit-fields, filled field by field.
// For rte_eth_read_clock and rte_bpf_convert, which are experimental in DPDK 22.11 to 24.11.
#define ALLOW_EXPERIMENTAL_API 1
#include "CDPDK.h"

#include <pthread.h>
#include <rte_bpf.h>

/// The CPUs that the process had before EAL started.
static rte_cpuset_t cpus_at_start;

void martlet_note_cpus(void) {
  CPU_ZERO(&cpus_at_start);
  pthread_getaffinity_np(pthread_self(), sizeof(cpus_at_start), &cpus_at_start);
}

void martlet_leave_lcores(void) {
  if (rte_lcore_count() == 0) return;
  rte_cpuset_t cpus = cpus_at_start;
  unsigned lcore;
  RTE_LCORE_FOREACH(lcore) {
    rte_cpuset_t taken = rte_lcore_cpuset(lcore);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
      if (CPU_ISSET(cpu, &taken)) CPU_CLR(cpu, &cpus);
  }
  if (CPU_COUNT(&cpus) == 0) cpus = rte_lcore_cpuset(rte_get_main_lcore());
  pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

struct rte_ring *martlet_ring_create(const char *name, unsigned count, int socket) {
  return rte_ring_create(name, count, socket, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
}

int martlet_port_info_get(uint16_t port, struct martlet_port_info *info) {
  struct rte_eth_dev_info device;
  int status = rte_eth_dev_info_get(port, &device);
  if (status != 0) return status;
  memset(info, 0, sizeof(*info));
  info->driver = device.driver_name ? device.driver_name : "?";
  info->device = device.device ? rte_dev_name(device.device) : "?";
  const struct rte_devargs *arguments = device.device ? rte_dev_devargs(device.device) : NULL;
  info->arguments = arguments && arguments->args ? arguments->args : "";
  info->socket = rte_eth_dev_socket_id(port);
  info->if_index = device.if_index;
  info->max_rx_queues = device.max_rx_queues;
  info->max_tx_queues = device.max_tx_queues;
  info->min_mtu = device.min_mtu;
  info->max_mtu = device.max_mtu;
  info->max_rx_pktlen = device.max_rx_pktlen;
  info->min_rx_bufsize = device.min_rx_bufsize;
  info->preferred_rx_descriptors = device.default_rxportconf.ring_size;
  info->max_rx_segments = device.rx_desc_lim.nb_seg_max;
  info->hash_key_size = device.hash_key_size;
  info->rss_functions = device.flow_type_rss_offloads;
  info->can_scatter = (device.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) != 0;
  info->tells_link = device.dev_flags && (*device.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
  info->tells_removal = device.dev_flags && (*device.dev_flags & RTE_ETH_DEV_INTR_RMV) != 0;
  info->can_timestamp = (device.rx_offload_capa & RTE_ETH_RX_OFFLOAD_TIMESTAMP) != 0;
  return 0;
}

int martlet_port_configure(uint16_t port, const struct martlet_port_setup *setup) {
  struct rte_eth_conf conf;
  memset(&conf, 0, sizeof(conf));
  conf.rxmode.mtu = setup->mtu;
  struct martlet_port_info info;
  if (martlet_port_info_get(port, &info) == 0) {
    conf.intr_conf.lsc = info.tells_link;
    conf.intr_conf.rmv = info.tells_removal;
  }
  if (setup->scatter) conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
  if (setup->timestamp) conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_TIMESTAMP;
  if (setup->rss_functions != 0) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = setup->rss_functions;
    conf.rx_adv_conf.rss_conf.rss_key = setup->rss_key;
    conf.rx_adv_conf.rss_conf.rss_key_len = setup->rss_key_length;
  }
  return rte_eth_dev_configure(port, setup->rx_queues, setup->tx_queues, &conf);
}

int martlet_rx_queue_setup(
    uint16_t port, uint16_t queue, uint16_t descriptors, int socket, bool scatter, bool timestamp,
    struct rte_mempool *pool) {
  struct rte_eth_dev_info device;
  int status = rte_eth_dev_info_get(port, &device);
  if (status != 0) return status;
  struct rte_eth_rxconf conf = device.default_rxconf;
  conf.offloads = scatter ? RTE_ETH_RX_OFFLOAD_SCATTER : 0;
  if (timestamp) conf.offloads |= RTE_ETH_RX_OFFLOAD_TIMESTAMP;
  return rte_eth_rx_queue_setup(port, queue, descriptors, (unsigned)socket, &conf, pool);
}

int martlet_tx_queue_setup(uint16_t port, uint16_t queue, uint16_t descriptors, int socket) {
  return rte_eth_tx_queue_setup(port, queue, descriptors, (unsigned)socket, NULL);
}

bool martlet_timestamp_register(int32_t *offset, uint64_t *flag) {
  int place = -1;
  if (rte_mbuf_dyn_rx_timestamp_register(&place, flag) != 0) return false;
  *offset = place;
  return true;
}

int martlet_port_clock(uint16_t port, uint64_t *ticks) { return rte_eth_read_clock(port, ticks); }

int martlet_port_link(uint16_t port, uint32_t *megabits) {
  struct rte_eth_link link;
  memset(&link, 0, sizeof(link));
  int status = rte_eth_link_get_nowait(port, &link);
  if (status != 0) return status;
  *megabits = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
  return link.link_status == RTE_ETH_LINK_UP;
}

uint32_t martlet_port_speed(uint16_t port) {
  struct rte_eth_link link;
  memset(&link, 0, sizeof(link));
  if (rte_eth_link_get_nowait(port, &link) != 0 || link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN) return 0;
  return link.link_speed;
}

uint16_t martlet_next_port(uint16_t port) {
  if (port >= RTE_MAX_ETHPORTS) return RTE_MAX_ETHPORTS;
  return (uint16_t)rte_eth_find_next_owned_by(port, RTE_ETH_DEV_NO_OWNER);
}

uint16_t martlet_port_limit(void) { return RTE_MAX_ETHPORTS; }

uint64_t martlet_flow_hash_functions(void) {
  return RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP;
}

uint64_t martlet_address_hash_functions(void) { return RTE_ETH_RSS_IP; }

uint64_t martlet_innermost_hash(void) { return RTE_ETH_RSS_LEVEL_INNERMOST; }

struct rte_mempool *martlet_mbuf_pool_create(
    const char *name, unsigned count, unsigned cache, uint16_t data_room, int socket) {
  return rte_pktmbuf_pool_create(name, count, cache, 0, data_room, socket);
}

uint16_t martlet_mbuf_headroom(void) { return RTE_PKTMBUF_HEADROOM; }

uint16_t martlet_mbuf_data_room(void) { return RTE_MBUF_DEFAULT_DATAROOM; }

struct rte_bpf *martlet_bpf_load(const void *program) {
  struct rte_bpf_prm *converted = rte_bpf_convert(program);
  if (converted == NULL) return NULL;
  struct rte_bpf *filter = rte_bpf_load(converted);
  rte_free(converted);
  return filter;
}

martlet_bpf_function martlet_bpf_native(const struct rte_bpf *filter) {
  struct rte_bpf_jit code;
  memset(&code, 0, sizeof(code));
  if (filter == NULL || rte_bpf_get_jit(filter, &code) != 0) return NULL;
  return code.func;
}

void martlet_bpf_run(const struct rte_bpf *filter, struct rte_mbuf **mbufs, uint64_t *results, uint32_t count) {
  rte_bpf_exec_burst(filter, (void **)mbufs, results, count);
}

void martlet_bpf_destroy(struct rte_bpf *filter) { rte_bpf_destroy(filter); }

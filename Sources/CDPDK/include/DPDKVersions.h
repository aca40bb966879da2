// Which DPDK this is for, and what its versions name differently. The code has the newest names; where an older version
// lacks one it is made here. packaging/check-dpdk-versions.sh compiles against each of 22.11, 23.11 and 24.11.
//
//     NAME                           SINCE    BEFORE
//     rte_tel_data_add_array_uint    23.03    rte_tel_data_add_array_u64, which 23.11 deprecates
//     rte_tel_data_add_dict_uint     23.03    rte_tel_data_add_dict_u64, the same
//
// RTE_PKTMBUF_HEADROOM is in rte_config.h up to 23.11 and comes from the build's configuration in 24.11: the same name.
// rte_eth_read_clock is experimental in all three.
#ifndef DPDK_VERSIONS_H
#define DPDK_VERSIONS_H
#include <rte_version.h>

#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0)
#error "Martlet needs DPDK 22.11 or later (Debian 12: apt-get install dpdk-dev)"
#endif

#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
#define rte_tel_data_add_array_uint rte_tel_data_add_array_u64
#define rte_tel_data_add_dict_uint rte_tel_data_add_dict_u64
#endif
#endif

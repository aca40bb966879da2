import CDPDK
import FlowCore
print(now(), rte_lcore_count(), RTE_MAX_LCORE)

// A port's counters, asked of its device.
import CDPDK

extension PortCounters {
  /// Asks the device of `port`; all zero where it does not count.
  init(port: UInt16) {
    self.init()
    var stats = rte_eth_stats()
    guard rte_eth_stats_get(port, &stats) == 0 else { return }
    missed = stats.imissed
    noMbuf = stats.rx_nombuf
    errors = stats.ierrors
  }
}

// What the devices counted, where every lcore may read it: only the control lcore asks a device, because drivers take their time
// and not all of them may be asked by several threads.

/// The counters of all ports as the control lcore asked for them last.
///
/// Safe between threads: the ports do not change, only the control lcore writes their counters, and who reads them gets each
/// number as it was at one of its looks.
final class PublishedPorts: @unchecked Sendable {
  private let ports: [UInt16]
  private let counters: UnsafeMutablePointer<PortCounters>

  /// The counters of ports by DPDK's numbers, all zero until the first look.
  init(_ ports: [UInt16]) {
    self.ports = ports
    counters = .allocate(capacity: max(1, ports.count))
    counters.initialize(repeating: PortCounters(), count: max(1, ports.count))
  }

  deinit { counters.deallocate() }

  /// Asks all devices but those that have gone away: what these counted last stays.
  func look(unless isGone: (UInt16) -> Bool) {
    for (index, port) in ports.enumerated() where !isGone(port) { counters[index] = PortCounters(port: port) }
  }

  /// What each port counted, in the order of their numbers.
  var entries: [CounterSnapshot.PortEntry] {
    ports.enumerated().map { index, port in .init(port: port, counters: counters[index]) }
  }
}

// What happens to ports while they are polled: links that go up and down, devices that go away, and what drivers count. The
// control lcore looks, because drivers take their time and not all of them may be asked by several threads; everybody may read.
import CDPDK
import Glibc
import Synchronization

/// The devices of all ports as the control lcore saw them last.
final class PublishedDevices: Sendable {
  /// A port, and what is known of it before the run.
  private struct Device: Sendable {
    let port: UInt16
    let title: String
    /// The kernel's number of its interface; 0 where it has none.
    let interface: UInt32
  }

  private struct State {
    var entries: [RunSnapshot.DeviceEntry]
    /// The events that were heard of, by port.
    var events: [UInt64]
    var hasLooked = false
  }

  private let devices: [Device]
  /// Somebody wants to see what the drivers count.
  private let takesStatistics: Bool
  private let state: Mutex<State>

  /// The most counters of one driver that are shown.
  private static let mostStatistics = 1024

  /// - Parameters:
  ///   - ports: all ports.
  ///   - takesStatistics: drivers are asked for all that they count.
  init(_ ports: [Port], takesStatistics: Bool) {
    devices = ports.map { Device(port: $0.id, title: $0.title, interface: $0.info.if_index) }
    self.takesStatistics = takesStatistics
    let entries = ports.map { RunSnapshot.DeviceEntry(port: $0.id) }
    state = Mutex(State(entries: entries, events: ports.map { _ in 0 }))
    for port in ports { PortEvents.listen(port.id) }
  }

  /// The devices, in the order of ports.
  var entries: [RunSnapshot.DeviceEntry] { state.withLock { $0.entries } }

  /// Whether the port's device has gone away: it is not to be asked for anything.
  func isGone(_ port: UInt16) -> Bool {
    state.withLock { $0.entries.first { $0.port == port }?.state.isGone ?? false }
  }

  /// Asks all devices, and says what has changed. Only by the control lcore.
  func look() {
    var (entries, events, hasLooked) = state.withLock { ($0.entries, $0.events, $0.hasLooked) }
    for (index, device) in devices.enumerated() where !entries[index].state.isGone {
      var state = entries[index].state
      if isMissing(device) {
        state.isGone = true
        state.isUp = false
      } else {
        let before = events[index]
        events[index] = PortEvents.linkChanges(device.port)
        ask(device, &state, heard: events[index] &- before, hasLooked: hasLooked)
        if takesStatistics { entries[index].statistics = statistics(device.port) }
      }
      if hasLooked || state.isGone {
        for line in Self.changes(device.title, from: entries[index].state, to: state) {
          logger.warning("\(line)")
        }
      }
      entries[index].state = state
    }
    hasLooked = true
    state.withLock { $0 = State(entries: entries, events: events, hasLooked: hasLooked) }
  }

  /// Whether the device said that it goes, or the kernel has no interface of its number any more.
  private func isMissing(_ device: Device) -> Bool {
    if PortEvents.isRemoved(device.port) { return true }
    guard device.interface != 0 else { return false }
    var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
    return name.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.map { if_indextoname(device.interface, $0) == nil && errno == ENXIO } ?? false
    }
  }

  /// Asks for the link; a device that says nothing of it stays as it was.
  ///
  /// - Parameter heard: how often the driver said meanwhile that the link changed.
  private func ask(_ device: Device, _ state: inout PortState, heard: UInt64, hasLooked: Bool) {
    var megabits: UInt32 = 0
    let isUp = martlet_port_link(device.port, &megabits)
    guard isUp >= 0 else { return }
    // A link that is as it was went down and up again for every two events.
    let changes = (isUp == 1) != state.isUp ? max(1, heard) : heard & ~1
    if hasLooked { state.changes &+= changes }
    state.isUp = isUp == 1
    state.megabits = isUp == 1 ? megabits : 0
  }

  /// What is to be said when a port's state changes.
  static func changes(_ title: String, from old: PortState, to new: PortState) -> [String] {
    if new.isGone {
      return [
        "\(title) has gone away: no packets come from it any more, and its flows end by their timeouts; the other ports go on. "
          + "Start martlet again when it is back"
      ]
    }
    let speed = new.megabits > 0 ? ", \(new.megabits) Mbit/s" : ""
    if new.isUp != old.isUp { return [new.isUp ? "\(title): link is up\(speed)" : "\(title): link is down"] }
    if new.changes != old.changes { return ["\(title): link was down and is up again\(speed)"] }
    return []
  }

  /// What the driver counts, by its own names.
  private func statistics(_ port: UInt16) -> [(name: String, value: UInt64)] {
    let wanted = rte_eth_xstats_get(port, nil, 0)
    guard wanted > 0, wanted <= Self.mostStatistics else { return [] }
    var names = [rte_eth_xstat_name](repeating: rte_eth_xstat_name(), count: Int(wanted))
    var values = [rte_eth_xstat](repeating: rte_eth_xstat(), count: Int(wanted))
    guard rte_eth_xstats_get_names(port, &names, UInt32(wanted)) == wanted,
      rte_eth_xstats_get(port, &values, UInt32(wanted)) == wanted
    else { return [] }
    return values.compactMap { value in
      guard let index = Int(exactly: value.id), names.indices.contains(index) else { return nil }
      let name = withUnsafeBytes(of: names[index].name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      return (name, value.value)
    }
  }
}

/// What drivers say by themselves, in threads of EAL's.
enum PortEvents {
  /// A bit for each port whose device goes away. DPDK has 32 ports.
  private static let removed = Atomic<UInt64>(0)
  /// How often links changed, for each of the first 64 ports.
  private static let changes = Mutex<[UInt64]>(Array(repeating: 0, count: 64))

  /// Whether the device of `port` said that it goes away.
  static func isRemoved(_ port: UInt16) -> Bool {
    port < 64 && removed.load(ordering: .relaxed) & 1 << UInt64(port) != 0
  }

  /// How often the driver said that the link changed.
  static func linkChanges(_ port: UInt16) -> UInt64 {
    changes.withLock { Int(port) < $0.count ? $0[Int(port)] : 0 }
  }

  /// Hears what the driver of `port` says, if it says anything.
  static func listen(_ port: UInt16) {
    rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_LSC, hear, nil)
    rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_RMV, hear, nil)
  }

  /// What a driver says.
  private static let hear: rte_eth_dev_cb_fn = { port, event, _, _ in
    guard port < 64 else { return 0 }
    if event == RTE_ETH_EVENT_INTR_RMV {
      removed.bitwiseOr(1 << UInt64(port), ordering: .relaxed)
    } else {
      changes.withLock { $0[Int(port)] &+= 1 }
    }
    return 0
  }
}

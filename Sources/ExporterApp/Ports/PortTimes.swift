// Whose clock a port's packets are timed by: decided from what the device says and what `--clock` asks for, so that it can
// be tested without a device; and the control lcore's look at each port once a second.
import CDPDK
import Glibc

/// Where the times of a queue's packets come from.
enum TimeSource: UInt8, BitwiseCopyable, Sendable {
  /// The lcore's clock when it found the burst.
  case lcore
  /// The device, for each packet.
  case device
  /// The file that the device replays.
  case file
}

/// What a port's device can say about times.
struct PortTimes: Equatable, Sendable {
  /// The driver's name, as net_pcap.
  var driver: String
  /// The device's own arguments.
  var arguments: String
  /// The device announces RTE_ETH_RX_OFFLOAD_TIMESTAMP.
  var canTimestamp: Bool

  /// The device plays a file.
  var isReplay: Bool { driver == "net_pcap" && arguments.contains("rx_pcap=") }

  /// Packets come with times: where that is announced, and from net_pcap, which did so before it announced it; but not
  /// where that repeats packets from memory.
  var givesTimes: Bool { (canTimestamp || driver == "net_pcap") && !repeatsFromMemory }

  private var repeatsFromMemory: Bool { isReplay && arguments.contains("infinite_rx=1") }

  /// Times without a clock to compare: net_pcap's were microseconds before it announced them, all others are nanoseconds.
  var plainClock: DeviceClock { driver == "net_pcap" && !canTimestamp ? .microseconds : .nanoseconds }

  /// Where the times of the port's packets come from.
  ///
  /// - Throws: `device` is asked for, and the device gives none (usage).
  func source(_ choice: ClockChoice, title: String) throws(Failure) -> TimeSource {
    switch choice {
    case .tsc: return .lcore
    case .auto: return givesTimes && !isReplay ? .device : .lcore
    case .device:
      guard givesTimes else {
        let remedy = repeatsFromMemory ? "leave out infinite_rx=1, or give" : "give"
        throw .usage(
          "\(title) gives its packets no times, which --clock device asks for: \(remedy) --clock auto or --clock tsc"
        )
      }
      return isReplay ? .file : .device
    }
  }

  /// The line printed at start.
  ///
  /// - Parameters:
  ///   - megabits: the link's speed, 0 where it is not known.
  ///   - hertz: the frequency of the device's clock, 0 where it has none.
  func description(_ source: TimeSource, title: String, megabits: UInt32, hertz: Double) -> String {
    switch source {
    case .lcore:
      let speed =
        megabits == 0
        ? "\(PortClock.unknownSpeed) Mb/s (the link's speed is not known)" : "\(megabits) Mb/s"
      return
        "\(title): times of the lcore's clock (TSC), packets of a burst put apart by their length at \(speed)"
        + (isReplay && givesTimes ? "; the file's own with --clock device" : "")
    case .device:
      return "\(title): times of the device"
        + (hertz > 0
          ? ", whose clock of \(CounterReport.fixed(hertz / 1e6, digits: 3)) MHz is compared with the system's every second"
          : " (since 1970)")
    case .file: return "\(title): times of the file that it replays, which step back when the file repeats"
    }
  }
}

extension Port {
  /// What the port's device can say about times.
  var times: PortTimes {
    PortTimes(driver: driver, arguments: arguments, canTimestamp: info.can_timestamp)
  }
}

/// The clocks of all started ports: the control lcore's side.
final class Timekeeper {
  private struct Entry {
    let port: UInt16
    let source: TimeSource
    let plainClock: DeviceClock
    let shared: UnsafeMutablePointer<PortClock>
    var calibration: DeviceCalibration?
    let line: String
  }

  private var entries: [Entry] = []

  /// Nanoseconds from one look at the ports to the next.
  static let interval: UInt64 = 1_000_000_000

  /// Reads every clock twice, a tenth of a second apart where there is one.
  ///
  /// - Parameter ports: the started ports, with where their packets' times come from.
  init(_ ports: [(port: Port, source: TimeSource)]) {
    var calibrations = ports.map { port, source in
      source == .device && port.times.canTimestamp
        ? Self.reading(port.id).map(DeviceCalibration.init) : nil
    }
    if calibrations.contains(where: { $0 != nil }) { usleep(100_000) }
    for (index, (port, source)) in ports.enumerated() {
      if let reading = Self.reading(port.id) { calibrations[index]?.observe(reading) }
      let megabits = martlet_port_speed(port.id)
      let calibration = calibrations[index]?.clock == nil ? nil : calibrations[index]
      let shared = UnsafeMutablePointer<PortClock>.allocate(capacity: 1)
      shared.initialize(to: PortClock(megabits: megabits))
      shared.pointee.publish(calibration?.clock ?? port.times.plainClock)
      entries.append(
        Entry(
          port: port.id, source: source, plainClock: port.times.plainClock, shared: shared,
          calibration: calibration,
          line: port.times.description(
            source, title: port.title, megabits: megabits, hertz: calibration?.hertz ?? 0)))
    }
  }

  /// A line for each port that says where its times come from.
  var lines: [String] { entries.map(\.line) }

  /// The queue as a worker polls it.
  func polled(_ id: QueueID) -> PolledQueue {
    guard let entry = entries.first(where: { $0.port == id.port }) else {
      fatalError("queue of a port that was not started")
    }
    return PolledQueue(
      port: id.port, queue: id.queue, source: entry.source, shared: UnsafePointer(entry.shared),
      clock: entry.calibration?.clock ?? entry.plainClock)
  }

  /// Compares the devices' clocks with the system's, and asks for the links' speeds, of all but those that have gone away.
  func look(unless isGone: (UInt16) -> Bool) {
    for index in entries.indices where !isGone(entries[index].port) {
      let entry = entries[index]
      entry.shared.pointee.octetPrice.store(
        PortClock.price(megabits: martlet_port_speed(entry.port)), ordering: .relaxed)
      guard entry.calibration != nil, let reading = Self.reading(entry.port) else { continue }
      entries[index].calibration?.observe(reading)
      if let clock = entries[index].calibration?.clock { entry.shared.pointee.publish(clock) }
    }
  }

  /// The device's clock and the system's, as close together as three tries get; nil for a device without a clock.
  private static func reading(_ port: UInt16) -> DeviceCalibration.Reading? {
    var best: (reading: DeviceCalibration.Reading, duration: UInt64)?
    for _ in 0..<3 {
      var ticks: UInt64 = 0
      let before = Clock.system()
      guard martlet_port_clock(port, &ticks) == 0 else { return nil }
      let duration = Clock.system() &- before
      if duration < best?.duration ?? .max {
        best = (.init(ticks: ticks, system: before &+ duration / 2), duration)
      }
    }
    return best?.reading
  }
}

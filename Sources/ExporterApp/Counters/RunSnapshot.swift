// What there is to be seen of a running program besides its counters: how busy lcores are, how full rings and tables.

/// A live run at one moment.
struct RunSnapshot: Sendable {
  /// A polling lcore's loop.
  struct LcoreEntry: Sendable {
    var lcore: UInt32
    var role: String
    var activity = LoopActivity()
  }

  /// What a worker lcore's queues to the export lcore and its table hold, and can.
  struct FillEntry: Sendable {
    var lcore: UInt32
    var ringRecords: Int
    var ringSize: Int
    var tableSize: Int
  }

  /// A port as its device is now.
  struct DeviceEntry: Sendable {
    var port: UInt16
    var state = PortState()
    /// What the driver counts, by its own names (rte_eth_xstats).
    var statistics: [(name: String, value: UInt64)] = []
  }

  /// An RX queue, with the lcore that polls it.
  struct QueueEntry: Sendable {
    var queue: CounterSnapshot.QueueEntry
    var lcore: UInt32
  }

  var counters = CounterSnapshot()
  /// Workers and export lcores, in the order of their numbers within each role.
  var lcores: [LcoreEntry] = []
  var fills: [FillEntry] = []
  var devices: [DeviceEntry] = []
  var queues: [QueueEntry] = []
  /// The names of ports' devices, by port.
  var deviceNames: [UInt16: String] = [:]
  /// The time stamp counter's frequency.
  var hertz: UInt64 = 1
  /// When the run began, seconds since 1970.
  var startTime: Double = 0
  /// The program's and DPDK's versions.
  var version = ""
  var dpdkVersion = ""

  /// Cycles of the time stamp counter in seconds.
  func seconds(_ cycles: UInt64) -> Double { Double(cycles) / Double(max(1, hertz)) }

  /// What the port's device is called.
  func deviceName(_ port: UInt16) -> String { deviceNames[port] ?? "" }
}

/// A port's link, and whether the device is there.
struct PortState: BitwiseCopyable, Sendable, Equatable {
  /// The link is up.
  var isUp = false
  /// Megabits per second; 0 where the device does not say.
  var megabits: UInt32 = 0
  /// The device has gone away.
  var isGone = false
  /// How often the link went up or down since the start.
  var changes: UInt64 = 0
}

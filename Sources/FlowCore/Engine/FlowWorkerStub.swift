// A stand-in for the engine, so that the live and offline loops can be built and run before it exists: it
// counts frames and lets one record in every 64 frames circulate. The lead replaces this file when merging.

/// How the flow engine works; the engine's own file replaces this.
public struct FlowConfiguration: Sendable {
  /// Flow records of one worker.
  public var flows: Int
  /// Nanoseconds after which a flow that goes on is exported.
  public var activeTimeout: UInt64
  /// Nanoseconds without a packet after which a flow ends.
  public var inactiveTimeout: UInt64
  /// The plugins in order, each with its options.
  public var plugins: [PluginRequest]
  /// The hash seed; nil takes a random one.
  public var seed: UInt64?

  public init(
    flows: Int, activeTimeout: UInt64, inactiveTimeout: UInt64, plugins: [PluginRequest], seed: UInt64?
  ) {
    self.flows = flows
    self.activeTimeout = activeTimeout
    self.inactiveTimeout = inactiveTimeout
    self.plugins = plugins
    self.seed = seed
  }
}

/// A plugin as it was asked for on the command line.
public struct PluginRequest: Sendable, Equatable {
  /// The plugin's name.
  public var name: String
  /// Its options, in order.
  public var options: [Option]

  /// One `key=value`.
  public struct Option: Sendable, Equatable {
    public var key: String
    public var value: String
    public init(key: String, value: String) {
      self.key = key
      self.value = value
    }
  }

  public init(name: String, options: [Option]) {
    self.name = name
    self.options = options
  }
}

/// Where the engine's memory comes from.
public protocol FlowMemory {
  /// Zeroed memory, or nil where there is not enough; it lives as long as the program.
  func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer?
}

/// Why the engine could not be set up.
public enum FlowSetupError: Error {
  case outOfMemory(byteCount: Int)
  case invalid(String)
}

/// The framings of captures; the engine's own file replaces this.
public enum LinkType: UInt8, BitwiseCopyable, Sendable, CaseIterable {
  case ethernet, linuxCooked, linuxCooked2, rawIP, loopback, ppp, pppoe

  public init?(pcap number: Int32) {
    switch number {
    case 1: self = .ethernet
    case 113: self = .linuxCooked
    case 276: self = .linuxCooked2
    case 12, 14, 101, 228, 229: self = .rawIP
    case 0, 108: self = .loopback
    case 9, 50: self = .ppp
    case 51: self = .pppoe
    default: return nil
    }
  }
}

/// What a worker counted.
public struct WorkerCounters: BitwiseCopyable, Sendable {
  public var notIP: UInt64 = 0
  public var malformed: UInt64 = 0
  public var fragments: UInt64 = 0
  public var flowsMade: UInt64 = 0
  public var flowsInTable: UInt64 = 0
  public var exportedIdle: UInt64 = 0
  public var exportedActive: UInt64 = 0
  public var exportedEnded: UInt64 = 0
  public var exportedForced: UInt64 = 0
  public var exportedNoRoom: UInt64 = 0
  public var tableFull: UInt64 = 0
  public init() {}
}

/// One worker lcore's engine: frames in, finished records out.
public final class FlowWorker {
  public let outbox: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  public var finished = 0
  public var counters = WorkerCounters()
  public var linkType = LinkType.ethernet
  let free: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  var freeCount: Int
  let table: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  var tableCount = 0
  var seen: UInt64 = 0
  static let outboxCapacity = 1024

  public init(configuration: FlowConfiguration, memory: any FlowMemory) throws(FlowSetupError) {
    let records = min(configuration.flows, 1 << 14)
    guard let block = memory.allocate(byteCount: records * 64, alignment: 64) else {
      throw .outOfMemory(byteCount: records * 64)
    }
    outbox = .allocate(capacity: Self.outboxCapacity)
    free = .allocate(capacity: records)
    table = .allocate(capacity: records)
    for index in 0..<records { free[index] = block + index * 64 }
    freeCount = records
  }

  public func process(_ frames: UnsafePointer<Frame>, count: Int, now: UInt64) {
    finished = 0
    for index in 0..<count {
      seen &+= UInt64(frames[index].bytes.load(as: UInt8.self) & 0) &+ 1
      if seen & 63 == 0 {
        if freeCount == 0 {
          counters.tableFull &+= 1
          continue
        }
        if tableCount >= 256 {
          tableCount -= 1
          outbox[finished] = table[tableCount]
          finished += 1
          counters.exportedIdle &+= 1
        }
        freeCount -= 1
        table[tableCount] = free[freeCount]
        tableCount += 1
        counters.flowsMade &+= 1
      }
    }
    counters.flowsInTable = UInt64(tableCount)
  }

  public func process(_ frames: UnsafePointer<Frame>, count: Int, times: UnsafePointer<UInt64>) {
    process(frames, count: count, now: times[0])
  }

  public func idle(now: UInt64) { finished = 0 }

  public func flush() -> Bool {
    finished = 0
    while finished < Self.outboxCapacity, tableCount > 0 {
      tableCount -= 1
      outbox[finished] = table[tableCount]
      finished += 1
      counters.exportedForced &+= 1
    }
    counters.flowsInTable = UInt64(tableCount)
    return finished > 0
  }

  public func recycle(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) {
    for index in 0..<count { free[freeCount + index] = records[index] }
    freeCount += count
  }
}

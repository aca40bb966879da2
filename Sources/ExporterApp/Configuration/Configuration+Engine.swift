// From the command line to an engine, live or offline.
import FlowCore

extension BuiltInSchema {
  /// The fields that the options ask for.
  ///
  /// - Throws: a plugin, option or value that does not exist (usage).
  convenience init(_ options: Options) throws(Failure) {
    do {
      try self.init(
        plugins: options.plugins.flatMap { $0 }, timestamps: options.timestamps, isUniflow: options.uniflow)
    } catch {
      throw .usage(error.description)
    }
  }
}

extension FlowWorker {
  /// An engine as the options want it.
  ///
  /// - Throws: too little memory.
  convenience init(
    _ options: Options, schema: BuiltInSchema, number: Int, live: Bool, memory: any FlowMemory
  ) throws(Failure) {
    var configuration = FlowConfiguration()
    configuration.flows = options.flowLimit(live: live)
    configuration.activeTimeout = options.activeTimeout.nanoseconds
    configuration.inactiveTimeout = options.inactiveTimeout.nanoseconds
    configuration.isOffline = !live
    // It comes later, see `makeSlab`.
    configuration.slabBytes = 0
    if live {
      // Records wait in the rings for the export lcore and come back through them.
      configuration.recordsUnderWay = 2 * Int(WorkerLink.ringSize)
      configuration.seed = .random(in: 1...(.max))
    }
    do {
      try self.init(configuration: configuration, schema: schema, number: number, memory: memory)
    } catch {
      throw .general(error.description)
    }
    timesPasses = options.benchmarks.cycles
  }

  /// Gives the plugins memory for what they keep of variable length: as much as `SlabSize` says, or half of it as often
  /// as the machine refuses. What is missing in the end is counted and warned of, so a machine with little memory exports
  /// nearly all of it instead of nothing.
  ///
  /// - Throws: not even the least can be had.
  func makeSlab(_ options: Options, schema: BuiltInSchema, live: Bool, memory: any FlowMemory) throws(Failure)
  {
    guard schema.pluginCount > 0 else { return }
    var bytes = SlabSize.bytes(
      flows: options.flowLimit(live: live), live: live, exportsBlocks: schema.exportsBlocks)
    while true {
      do {
        return try makeSlab(bytes: bytes, memory: memory)
      } catch {
        guard bytes > SlabSize.least else { throw .general(error.description) }
        bytes = max(SlabSize.least, bytes / 2)
      }
    }
  }
}

/// How much memory plugins get for what they keep of variable length.
enum SlabSize {
  static let least = 64 << 20

  /// Live 512 bytes for each flow where a plugin exports such bytes: most flows have less, or none. Offline a TLS summary
  /// and both payloads for each flow, whatever the plugins, because pages that nothing is written to cost nothing there.
  static func bytes(flows: Int, live: Bool, exportsBlocks: Bool) -> Int {
    if live { return exportsBlocks ? max(least, flows * 512) : least }
    return max(least, flows * 1024)
  }
}

extension Options {
  /// Flow records for each worker.
  func flowLimit(live: Bool) -> Int { flows ?? (live ? 1 << 20 : 1 << 17) }
}

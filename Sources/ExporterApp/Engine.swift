// From the command line to an engine, live or offline.
import FlowCore

extension RecordSchema {
  /// The fields that the options ask for.
  ///
  /// - Throws: a plugin, option or value that does not exist (usage).
  convenience init(_ options: Options) throws(Failure) {
    do {
      try self.init(plugins: options.plugins.flatMap { $0 }, timestamps: options.timestamps)
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
    _ options: Options, schema: RecordSchema, number: Int, live: Bool, memory: any FlowMemory
  ) throws(Failure) {
    var configuration = FlowConfiguration()
    configuration.flows = options.flows ?? (live ? 1 << 20 : 1 << 17)
    configuration.activeTimeout = options.activeTimeout.nanoseconds
    configuration.inactiveTimeout = options.inactiveTimeout.nanoseconds
    configuration.isOffline = !live
    configuration.timesPasses = options.benchmarks.cycles
    if !live {
      // Room for a TLS summary and both payloads of every flow: pages that nothing is written to cost nothing here.
      configuration.slabBytes = min(max(configuration.slabBytes, configuration.flows * 1024), 1 << 30)
    }
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
  }
}

// From the command line to an engine, live or offline.
import FlowCore

extension FlowWorker {
  /// An engine as the options want it.
  ///
  /// - Throws: a plugin that does not exist (usage), or too little memory.
  convenience init(_ options: Options, live: Bool, memory: any FlowMemory) throws(Failure) {
    let flows = options.flows ?? (live ? 1 << 20 : 1 << 17)
    let configuration = FlowConfiguration(
      flows: flows, activeTimeout: options.activeTimeout.nanoseconds,
      inactiveTimeout: options.inactiveTimeout.nanoseconds, plugins: options.plugins.flatMap(\.requests),
      // A fixed seed offline, so that runs repeat.
      seed: live ? nil : 0x6d61_7274_6c65_7400)
    do {
      try self.init(configuration: configuration, memory: memory)
    } catch {
      switch error {
      case .outOfMemory(let bytes):
        throw .general("no memory for \(flows) flows (\(bytes >> 20) MB per lcore): lower --flows or add memory")
      case .invalid(let message): throw .usage(message)
      }
    }
  }
}

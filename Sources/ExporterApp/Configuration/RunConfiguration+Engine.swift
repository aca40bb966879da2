// From a configuration to an engine, live or offline.
import Captures
import FlowCore

extension BuiltInSchema {
  /// The fields that the configuration asks for.
  ///
  /// - Throws: a plugin, option or value that does not exist, or plugins that would give away what addresses must not (usage).
  convenience init(_ configuration: RunConfiguration) throws(Failure) {
    try self.init(
      configuration.metering, enriches: !configuration.addressDatabases.isEmpty, origin: configuration.origin)
  }
}

extension FlowWorker {
  /// An engine as the configuration wants it; `recordsUnderWay` as with `MeteringSettings`.
  ///
  /// - Throws: too little memory.
  convenience init(
    _ configuration: RunConfiguration, schema: BuiltInSchema, number: Int, recordsUnderWay: Int?,
    memory: any FlowMemory
  ) throws(Failure) {
    try self.init(
      configuration.metering, schema: schema, number: number, recordsUnderWay: recordsUnderWay,
      memory: memory)
    timesPasses = configuration.benchmarks.takesCycles
  }
}

// From settings to an engine, live or offline.
import FlowCore

extension BuiltInSchema {
  /// The fields that the settings ask for.
  ///
  /// - Parameters:
  ///   - enriches: records have what databases know of both sides.
  ///   - origin: what records say of where they come from.
  /// - Throws: a plugin, option or value that does not exist, or plugins that would give away what addresses must not (usage).
  public convenience init(
    _ settings: MeteringSettings, enriches: Bool = false, origin: RecordOrigin = RecordOrigin()
  ) throws(Failure) {
    do {
      try self.init(
        plugins: settings.plugins, timestamps: settings.timestamps, isUniflow: settings.isUniflow,
        enriches: enriches, origin: origin, tunnels: settings.tunnelSettings)
    } catch {
      throw .usage(error.description)
    }
    guard let anonymisation = settings.anonymisation else { return }
    let tellers = contentPlugins
    guard tellers.isEmpty || anonymisation.allowsContent else {
      throw .usage(
        "--anonymise: \(tellers.joined(separator: ", ")) export payload or names, which may say who it is: leave them out, or add ',force'"
      )
    }
    masking = try anonymisation.masking()
  }
}

extension FlowWorker {
  /// An engine as the settings want it.
  ///
  /// - Parameter recordsUnderWay: live, how many records may wait between the lcores; nil offline.
  /// - Throws: too little memory.
  public convenience init(
    _ settings: MeteringSettings, schema: BuiltInSchema, number: Int, recordsUnderWay: Int?,
    memory: any FlowMemory
  ) throws(Failure) {
    var limits = FlowConfiguration()
    limits.flows = settings.flowLimit(live: recordsUnderWay != nil)
    limits.activeTimeout = settings.activeTimeout.nanoseconds
    limits.inactiveTimeout = settings.inactiveTimeout.nanoseconds
    limits.sampling = settings.sampling
    limits.isOffline = recordsUnderWay == nil
    // It comes later, see `makeSlab`.
    limits.slabBytes = 0
    if let recordsUnderWay {
      limits.recordsUnderWay = recordsUnderWay
      limits.seed = .random(in: 1...(.max))
    }
    do {
      try self.init(configuration: limits, schema: schema, number: number, memory: memory)
    } catch {
      throw .general(error.description)
    }
  }

  /// Gives the plugins memory for what they keep of variable length: as much as `SlabSize` says, or half of it as often
  /// as the machine refuses. What is missing in the end is counted and warned of, so a machine with little memory exports
  /// nearly all of it instead of nothing.
  ///
  /// - Throws: not even the least can be had.
  public func makeSlab(
    _ settings: MeteringSettings, schema: BuiltInSchema, live: Bool, memory: any FlowMemory
  )
    throws(Failure)
  {
    guard schema.pluginCount > 0 else { return }
    var bytes = SlabSize.bytes(
      flows: settings.flowLimit(live: live), live: live, exportsBlocks: schema.exportsBlocks)
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
public enum SlabSize {
  /// The least that plugins can do with.
  public static let least = 64 << 20

  /// Live 512 bytes for each flow where a plugin exports such bytes: most flows have less, or none. Offline a TLS summary
  /// and both payloads for each flow, whatever the plugins, because pages that nothing is written to cost nothing there.
  public static func bytes(flows: Int, live: Bool, exportsBlocks: Bool) -> Int {
    if live { return exportsBlocks ? max(least, flows * 512) : least }
    return max(least, flows * 1024)
  }
}

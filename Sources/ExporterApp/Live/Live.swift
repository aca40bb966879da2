// Live traffic from start to end: EAL, ports, lcores, and back.
import CDPDK
import Captures
import FlowCore
import Glibc

/// The program on DPDK ports.
enum Live {
  /// Runs until a signal.
  ///
  /// - Throws: what kept it from starting, or an output that failed for good.
  static func run(eal arguments: [String], _ configuration: RunConfiguration) throws(Failure) {
    // First, because every thread that starts later (EAL's, the exporters') inherits the mask.
    let signals = Signals()
    let schema = try BuiltInSchema(configuration)
    try schema.loadModels(configuration)
    var filter: FilterProgram?
    if let expression = configuration.filter { filter = try FilterProgram(expression) }
    let databases = try AddressDatabases(configuration)
    try CrashReport.prepare(directory: configuration.crashFolder, plugins: schema.pluginNames)
    let privileges = try Privileges(configuration, startsPrograms: schema.hostQuestion != nil)
    Drain.configure(nanoseconds: configuration.drainTimeout.nanoseconds)
    let plan = try OutputPlan(
      configuration.exports, fallback: nil, inputs: EALArguments(arguments).replayedCaptures,
      exporters: configuration.exportLcores)
    for note in configuration.notes { logger.info("\(note)") }
    for warning in configuration.warnings { logger.warning("\(warning)") }
    var socket: ListeningSocket?
    if let address = configuration.metrics { socket = try ListeningSocket(address) }
    let eal = try EAL(arguments)
    do {
      try serve(
        eal, configuration, schema: schema, filter: filter, databases: databases, plan: plan,
        signals: signals, privileges: privileges, metrics: socket.take())
    } catch {
      eal.stop()
      throw error
    }
    eal.stop()
  }

  private static func serve(
    _ eal: borrowing EAL, _ configuration: RunConfiguration, schema: BuiltInSchema, filter: FilterProgram?,
    databases: AddressDatabases?, plan: OutputPlan, signals: Signals, privileges: Privileges,
    metrics socket: consuming ListeningSocket?
  ) throws(Failure) {
    let diagnosis = EALDiagnosis(log: eal.startLog, arguments: eal.arguments, machine: .current)
    let ports = try Port.all()
    guard !ports.isEmpty else { throw diagnosis.noPort }
    if let missing = diagnosis.missingDevice { throw .general(missing) }

    let map = try LcoreMap(
      main: Lcore.main, others: Lcore.others, ports: ports.map(\.limits), queues: configuration.queues,
      config: configuration.queueMap, exporters: configuration.exportLcores, cpus: Machine.onlineCPUs)
    for warning in map.warnings { logger.warning("\(warning)") }
    var sources: [TimeSource] = []
    for port in ports { sources.append(try port.times.source(configuration.clock, title: port.title)) }
    // Before the first port starts, because drivers fill the field only where it is known then.
    let field = sources.contains { $0 != .lcore } ? TimestampField() : nil
    var started: [(port: Port, source: TimeSource)] = []
    defer { for (port, _) in started { port.close() } }
    for (port, source) in zip(ports, sources) {
      var timestamps = source != .lcore && field != nil
      for warning in try port.start(
        sockets: map.sockets(of: port), spreading: Spreading(configuration), timestamps: &timestamps)
      {
        logger.warning("\(warning)")
      }
      started.append((port, timestamps ? source : .lcore))
      if configuration.clock == .device, !timestamps {
        throw .general("\(port.title) refused to give its packets times: give --clock auto or --clock tsc")
      }
    }

    for warning in try schema.numberInterfaces(ports.map(\.interface), configuration.ingressInterfaces) {
      logger.warning("\(warning)")
    }
    let timekeeper = Timekeeper(started)
    let selection = SelectionOwner()
    let statement = SelectionStatement(configuration)
    let workers = try crew(
      map, timekeeper: timekeeper, field: field, selection: selection, configuration, schema: schema)
    let published = PublishedPorts(ports.map(\.id))
    // Last, when nothing else can fail: until here no file was touched.
    var outputs: [Outputs] = []
    for (number, exporter) in map.exporters.enumerated() {
      let metering = MeteringView(
        workers: workers.workers.filter { exporter.workers.contains($0.lcore) }, ports: published)
      let description = ExportDescription(
        configuration, schema: schema, process: UInt32(clamping: number + 1),
        ports: ports.map(\.interface), selection: statement
      ) { metering.snapshot }
      outputs.append(
        try Outputs(
          plan, exporter: number, configuration, schema: schema, description: description,
          databases: databases, live: true))
    }
    let inputs = EALArguments(eal.arguments).replayedCaptures
    var control = control(
      map, ports: published, devices: PublishedDevices(ports, takesStatistics: configuration.metrics != nil),
      timekeeper: timekeeper, crew: workers, outputs: outputs, signals: signals,
      hostQuery: schema.hostQuestion.flatMap { HostQuery($0, configuration) }, databases: databases,
      selection: selection,
      reload: configuration.source.map { source in
        Reload(
          source,
          parts: [
            ReplaceableLog(),
            ReplaceableExports(outputs: outputs, inputs: inputs, mode: configuration.exportMode),
            ReplaceableSelection(owner: selection, statement: statement),
            ReplaceableDatabases(databases: databases),
          ])
      },
      report: StatsReport(
        format: configuration.statsFormat ?? .usual,
        flowsPerWorker: configuration.metering.flowLimit(live: true)))
    control.reloadModels = { reloadModels(of: schema) }
    map.announce(ports: ports)
    for line in timekeeper.lines { logger.info("\(line)") }
    for warning in map.timeWarnings(timekeeper) { logger.warning("\(warning)") }
    if let filter { selection.replaceAndSay(filter: filter, sampling: configuration.sampling) }
    control.devices.look()
    let watch = try Watch(control, ports: ports, masking: schema.masking, socket: socket)
    defer { watch.close() }
    eal.giveHugepagesAway()
    try privileges.drop()
    privileges.warn(plan.folders + configuration.folders)
    try control.launch()
    watch.begun()
    control.eachSecond = watch.look
    let stats =
      configuration.stats ?? (isatty(STDERR_FILENO) == 1 ? Seconds(nanoseconds: 1_000_000_000) : nil)
    control.sleep(stats: stats, duration: configuration.benchmarks.duration)
    watch.ending()
    control.shutDown()
    control.printTotals()
    for warning in CounterReport.warnings(control.snapshot()) { logger.warning("\(warning)") }
    if let failure = Outputs.outcome(of: outputs, before: control.lostBetweenLcores) { throw failure }
  }

  /// Reads the models' files again; what is wrong with them leaves those in use as they are.
  private static func reloadModels(of schema: BuiltInSchema) {
    do {
      for line in try schema.reloadModels() { logger.info("\(line)") }
    } catch {
      logger.warning("\(error.description): the models stay as they were")
    }
  }

  /// The workers' side of a run.
  private struct Crew {
    let run: UnsafeMutablePointer<RunState>
    var workers: [ControlLoop.WorkerView] = []
    /// What each export lcore shares with its workers, in the map's order.
    var exporters: [UnsafeMutablePointer<ExportState>] = []
  }

  /// The loops of all worker lcores with their engines and rings.
  private static func crew(
    _ map: LcoreMap, timekeeper: Timekeeper, field: TimestampField?, selection: SelectionOwner,
    _ configuration: RunConfiguration, schema: BuiltInSchema
  ) throws(Failure) -> Crew {
    let run = UnsafeMutablePointer<RunState>.allocate(capacity: 1)
    run.initialize(to: RunState())
    var crew = Crew(run: run)
    var exportStates: [UInt32: UnsafeMutablePointer<ExportState>] = [:]
    for exporter in map.exporters {
      let state = UnsafeMutablePointer<ExportState>.allocate(capacity: 1)
      state.initialize(to: ExportState())
      crew.exporters.append(state)
      for worker in exporter.workers { exportStates[worker] = state }
    }
    let hertz = Clock.hertz
    var memories: [LcoreMemory] = []
    for (number, worker) in map.workers.enumerated() {
      guard let export = exportStates[worker.lcore] else {
        fatalError("a worker without an export lcore")
      }
      let socket = Lcore.socket(worker.lcore)
      let memory = LcoreMemory(socket: socket)
      let engine = try FlowWorker(
        configuration, schema: schema, number: number, recordsUnderWay: WorkerLink.recordsUnderWay,
        memory: memory)
      let loop = UnsafeMutablePointer<WorkerLoop>.allocate(capacity: 1)
      loop.initialize(
        to: WorkerLoop(
          run: run, worker: engine, link: try WorkerLink(lcore: worker.lcore, socket: socket, export: export),
          queues: worker.queues.map(timekeeper.polled),
          shared: map.shares(worker.lcore), hertz: hertz, field: field, selection: selection.reader(),
          benchmarks: configuration.benchmarks))
      crew.workers.append(.init(lcore: worker.lcore, loop: loop, worker: engine))
      memories.append(memory)
    }
    // After all tables, which every packet needs, so that they get the hugepages first.
    for (worker, memory) in zip(crew.workers, memories) {
      try worker.worker.makeSlab(configuration.metering, schema: schema, live: true, memory: memory)
      memory.warn(lcore: worker.lcore)
    }
    return crew
  }

  /// The control lcore's view of all of them, with the export lcores' loops.
  private static func control(
    _ map: LcoreMap, ports: PublishedPorts, devices: PublishedDevices, timekeeper: Timekeeper,
    crew: Crew, outputs: [Outputs], signals: Signals, hostQuery: HostQuery?,
    databases: AddressDatabases?, selection: SelectionOwner, reload: Reload?,
    report: StatsReport
  ) -> ControlLoop {
    var exporters: [ControlLoop.ExporterView] = []
    for (number, exporter) in map.exporters.enumerated() {
      let links = crew.workers.filter { exporter.workers.contains($0.lcore) }.map { $0.loop.pointee.link }
      let loop = UnsafeMutablePointer<ExportLoop>.allocate(capacity: 1)
      loop.initialize(
        to: ExportLoop(
          state: crew.exporters[number], outputs: outputs[number], links: links,
          shared: map.shares(exporter.lcore), hertz: Clock.hertz))
      exporters.append(.init(lcore: exporter.lcore, loop: loop, outputs: outputs[number]))
    }
    return ControlLoop(
      run: crew.run, signals: signals, workers: crew.workers, exporters: exporters, ports: ports,
      devices: devices, timekeeper: timekeeper, reload: reload, report: report, hostQuery: hostQuery,
      selection: selection, databases: databases)
  }
}

extension LcoreMap {
  /// Every lcore with a role.
  private var active: [UInt32] { [control] + exporters.map(\.lcore) + workers.map(\.lcore) }

  /// Whether an lcore with a role must leave its CPU to another one when idle.
  func shares(_ lcore: UInt32) -> Bool { Lcore.shares(lcore, with: active) }

  /// Which workers make packets' times late although there are CPUs for all of them.
  func timeWarnings(_ timekeeper: Timekeeper) -> [String] {
    let cpus = Machine.onlineCPUs
    guard cpus.count > workers.count else { return [] }
    let late = workers.filter { worker in
      shares(worker.lcore) && worker.queues.contains { timekeeper.polled($0).source == .lcore }
    }
    return late.map { worker in
      "lcore \(worker.lcore) (worker) shares its CPU and sleeps when idle, so that packets' times are up to 0.1 ms late: give "
        + "it a CPU of its own, as in \(EALArguments.lcores(workers: workers.count, exporters: exporters.count, cpus: cpus))"
    }
  }

  /// The NUMA socket of the lcore behind each of the port's queues.
  func sockets(of port: Port) -> [Int32] {
    (0..<queueCount(port: port.id)).map { queue in
      let id = QueueID(port: port.id, queue: UInt16(queue))
      return Lcore.socket(workers.first { $0.queues.contains(id) }?.lcore ?? control)
    }
  }

  /// Prints who does what.
  func announce(ports: [Port]) {
    func line(_ role: String, _ lcore: UInt32, _ work: String) {
      let idle = lcore != control && shares(lcore) ? " (shares its CPU: yields when idle)" : ""
      logger.info("\(Lcore.describe(lcore)): \(role)\(work)\(idle)")
    }
    line("control", control, "")
    for exporter in exporters {
      let served = exporter.workers.map(String.init).joined(separator: ", ")
      line("export", exporter.lcore, exporters.count > 1 ? ", workers \(served)" : "")
    }
    for worker in workers {
      let queues = worker.queues.map { queue in
        let name = ports.first { $0.id == queue.port }?.name ?? "?"
        return "port \(queue.port) (\(name)) queue \(queue.queue)"
      }
      line("worker", worker.lcore, ", " + queues.joined(separator: ", "))
    }
    for lcore in unused { logger.info("\(Lcore.describe(lcore)): unused, there is no RX queue for it") }
  }
}

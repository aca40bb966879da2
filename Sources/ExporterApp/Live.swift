// Live traffic from start to end: EAL, ports, lcores, and back.
import CDPDK
import FlowCore
import Glibc

/// The program on DPDK ports.
enum Live {
  /// Runs until a signal.
  ///
  /// - Throws: what kept it from starting, or an output that failed for good.
  static func run(eal arguments: [String], options: Options) throws(Failure) {
    // First, because every thread that starts later (EAL's, the exporters') inherits the mask.
    let signals = Signals()
    let schema = try BuiltInSchema(options)
    try CrashReport.prepare(directory: options.crashDir, plugins: schema.pluginNames)
    Drain.configure(options.drainTimeout)
    let plan = try OutputPlan(options.export, fallback: nil, inputs: EALArguments(arguments).replayedCaptures)
    let eal = try EAL(arguments)
    do {
      try serve(eal, options: options, schema: schema, plan: plan, signals: signals)
    } catch {
      eal.stop()
      throw error
    }
    eal.stop()
  }

  private static func serve(
    _ eal: borrowing EAL, options: Options, schema: BuiltInSchema, plan: OutputPlan, signals: Signals
  ) throws(Failure) {
    let diagnosis = EALDiagnosis(log: eal.startLog, arguments: eal.arguments, machine: .current)
    let ports = try Port.all()
    guard !ports.isEmpty else { throw diagnosis.noPort }
    if let missing = diagnosis.missingDevice { throw .general(missing) }

    let map = try LcoreMap(
      main: Lcore.main, others: Lcore.others, ports: ports.map(\.limits), queues: options.queues,
      config: options.config, cpus: Machine.onlineCPUs)
    for warning in map.warnings { Console.warning(warning) }
    var sources: [TimeSource] = []
    for port in ports { sources.append(try port.times.source(options.clock, title: port.title)) }
    // Before the first port starts, because drivers fill the field only where it is known then.
    let field = sources.contains { $0 != .lcore } ? TimestampField() : nil
    var started: [(port: Port, source: TimeSource)] = []
    defer { for (port, _) in started { port.close() } }
    for (port, source) in zip(ports, sources) {
      var timestamps = source != .lcore && field != nil
      for warning in try port.start(sockets: map.sockets(of: port), timestamps: &timestamps) {
        Console.warning(warning)
      }
      started.append((port, timestamps ? source : .lcore))
      if options.clock == .device, !timestamps {
        throw .general("\(port.title) refused to give its packets times: give --clock auto or --clock tsc")
      }
    }

    for warning in try schema.numberInterfaces(ports.map(\.interface), options.ingressInterface) {
      Console.warning(warning)
    }
    let timekeeper = Timekeeper(started)
    let workers = try crew(map, timekeeper: timekeeper, field: field, options: options, schema: schema)
    // Last, when nothing else can fail: until here no file was touched.
    let outputs = try Outputs(plan, options, schema: schema, live: true)
    let control = control(
      map, ports: ports, timekeeper: timekeeper, workers: workers, outputs: outputs, signals: signals)
    map.announce(ports: ports)
    for line in timekeeper.lines { Console.line(line) }
    for warning in map.timeWarnings(timekeeper) { Console.warning(warning) }
    try control.launch()
    let stats = options.stats ?? (isatty(STDERR_FILENO) == 1 ? Seconds(nanoseconds: 1_000_000_000) : nil)
    control.sleep(stats: stats, duration: options.benchmarks.duration)
    control.shutDown()
    control.printTotals()
    for warning in CounterReport.warnings(control.snapshot()) { Console.warning(warning) }
    if let failure = outputs.outcome(before: control.lostBetweenLcores) { throw failure }
  }

  /// The loops of all worker lcores with their engines and rings.
  private static func crew(
    _ map: LcoreMap, timekeeper: Timekeeper, field: TimestampField?, options: Options, schema: BuiltInSchema
  ) throws(Failure) -> (run: UnsafeMutablePointer<RunState>, views: [ControlLoop.WorkerView]) {
    let run = UnsafeMutablePointer<RunState>.allocate(capacity: 1)
    run.initialize(to: RunState())
    let hertz = rte_get_tsc_hz()
    var workers: [ControlLoop.WorkerView] = []
    var memories: [LcoreMemory] = []
    for (number, worker) in map.workers.enumerated() {
      let socket = Lcore.socket(worker.lcore)
      let memory = LcoreMemory(socket: socket)
      let engine = try FlowWorker(options, schema: schema, number: number, live: true, memory: memory)
      let loop = UnsafeMutablePointer<WorkerLoop>.allocate(capacity: 1)
      loop.initialize(
        to: WorkerLoop(
          run: run, worker: engine, link: try WorkerLink(lcore: worker.lcore, socket: socket),
          queues: worker.queues.map(timekeeper.polled),
          shared: map.shares(worker.lcore), hertz: hertz, field: field, benchmarks: options.benchmarks))
      workers.append(.init(lcore: worker.lcore, loop: loop, worker: engine))
      memories.append(memory)
    }
    // After all tables, which every packet needs, so that they get the hugepages first.
    for (worker, memory) in zip(workers, memories) {
      try worker.worker.makeSlab(options, schema: schema, live: true, memory: memory)
      memory.warn(lcore: worker.lcore)
    }
    return (run, workers)
  }

  /// The control lcore's view of all of them, with the export lcore's loop.
  private static func control(
    _ map: LcoreMap, ports: [Port], timekeeper: Timekeeper,
    workers: (run: UnsafeMutablePointer<RunState>, views: [ControlLoop.WorkerView]), outputs: Outputs,
    signals: Signals
  ) -> ControlLoop {
    let export = UnsafeMutablePointer<ExportLoop>.allocate(capacity: 1)
    export.initialize(
      to: ExportLoop(
        run: workers.run, outputs: outputs, links: workers.views.map { $0.loop.pointee.link },
        shared: map.shares(map.export), hertz: rte_get_tsc_hz()))
    return ControlLoop(
      run: workers.run, signals: signals, workers: workers.views, exportLcore: map.export, export: export,
      outputs: outputs, ports: ports.map(\.id), timekeeper: timekeeper)
  }
}

extension LcoreMap {
  /// Every lcore with a role.
  private var active: [UInt32] { [control, export] + workers.map(\.lcore) }

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
        + "it a CPU of its own, as in \(Self.suggestion(workers: workers.count, cpus: cpus))"
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
      Console.line("\(Lcore.describe(lcore)): \(role)\(work)\(idle)")
    }
    line("control", control, "")
    line("export", export, "")
    for worker in workers {
      let queues = worker.queues.map { queue in
        let name = ports.first { $0.id == queue.port }?.name ?? "?"
        return "port \(queue.port) (\(name)) queue \(queue.queue)"
      }
      line("worker", worker.lcore, ", " + queues.joined(separator: ", "))
    }
    for lcore in unused { Console.line("\(Lcore.describe(lcore)): unused, there is no RX queue for it") }
  }
}

// Who does what: the roles of lcores and the queues they poll, decided from numbers alone, so that it can be
// tested without EAL.

/// The lcores' roles: main controls, the next ones export (`--export-lcores`), the rest receive.
struct LcoreMap: Equatable, Sendable {
  /// A worker lcore and the queues it polls, in order of port, then queue.
  struct Worker: Equatable, Sendable {
    var lcore: UInt32
    var queues: [QueueID]
  }

  /// An export lcore and the worker lcores that it serves, ascending; each worker has one.
  struct Exporter: Equatable, Sendable {
    var lcore: UInt32
    var workers: [UInt32]
  }

  /// Signals, statistics; sleeps otherwise.
  let control: UInt32
  /// They encode and send, each what its own workers found; at least one.
  let exporters: [Exporter]
  /// One engine each; every one has at least one queue.
  let workers: [Worker]
  /// Lcores that got no queue.
  let unused: [UInt32]
  /// What the user should know, as a device with fewer queues than asked for.
  let warnings: [String]

  /// Maps queues to lcores.
  ///
  /// - Parameters:
  ///   - main: EAL's main lcore.
  ///   - others: the other enabled lcores, ascending.
  ///   - ports: every port, at least one.
  ///   - queues: RX queues per port, nil for as many as there are workers.
  ///   - config: an explicit map, which wins.
  ///   - exporters: how many lcores export, at least 1.
  ///   - cpus: the machine's CPUs, for what messages suggest.
  /// - Throws: a usage failure that says which lcores are missing.
  init(
    main: UInt32, others: [UInt32], ports: [PortLimits], queues: Int?, config: QueueMap?,
    exporters count: Int = 1, cpus: [UInt32]
  ) throws(Failure) {
    guard others.count > count else {
      throw .usage(
        "\(others.count + 1) lcore\(others.isEmpty ? " is" : "s are") too few: the first controls, "
          + "\(count == 1 ? "the second exports" : "the next \(count) export"), the others receive; give "
          + EALArguments.lcores(workers: count, exporters: count, cpus: cpus))
    }
    control = main
    let exportLcores = Array(others.prefix(count))
    let workerLcores = Array(others.dropFirst(count))
    var assigned: [UInt32: [QueueID]] = [:]
    var notes: [String] = []
    if let config {
      assigned = try Self.explicit(
        config, control: main, exporters: exportLcores, workers: workerLcores, ports: ports)
      if queues != nil { notes.append("--config gives the queues, --queues is not used") }
    } else {
      let counts = try Self.counts(
        ports: ports, workers: workerLcores, exporters: count, cpus: cpus, queues: queues, notes: &notes)
      let all = zip(ports, counts).flatMap { port, count in
        (0..<count).map { QueueID(port: port.port, queue: UInt16($0)) }
      }
      for (lcore, queue) in zip(workerLcores, all) { assigned[lcore] = [queue] }
    }
    workers = workerLcores.compactMap { lcore in assigned[lcore].map { Worker(lcore: lcore, queues: $0) } }
    guard workers.count >= count else {
      throw .usage(
        "--export-lcores \(count), but only \(workers.count) worker lcore\(workers.count == 1 ? " has" : "s have") "
          + "a queue: an export lcore serves at least one")
    }
    exporters = Self.shared(workers.map(\.lcore), among: exportLcores)
    unused = workerLcores.filter { assigned[$0] == nil }
    warnings = notes
  }

  /// How many RX queues the map gives to a port.
  func queueCount(port: UInt16) -> Int {
    workers.reduce(0) { $0 + $1.queues.count { $0.port == port } }
  }

  /// The export lcores with the workers that they serve: one worker at a time to each in turn.
  private static func shared(_ workers: [UInt32], among exporters: [UInt32]) -> [Exporter] {
    exporters.enumerated().map { number, lcore in
      let own = workers.enumerated().filter { $0.offset % exporters.count == number }
      return Exporter(lcore: lcore, workers: own.map(\.element))
    }
  }

  /// Queues per port: one queue at a time to each port in turn until workers or devices are exhausted.
  private static func counts(
    ports: [PortLimits], workers: [UInt32], exporters: Int, cpus: [UInt32], queues: Int?,
    notes: inout [String]
  ) throws(Failure) -> [Int] {
    var counts = ports.map { _ in 0 }
    if let queues {
      for (index, port) in ports.enumerated() {
        counts[index] = min(queues, port.maximumQueues)
        if queues > port.maximumQueues {
          notes.append(
            "port \(port.port) (\(port.name)) has \(port.maximumQueues) RX queue\(port.maximumQueues == 1 ? "" : "s"), "
              + "not the \(queues) asked for")
        }
      }
    } else {
      var left = max(workers.count, ports.count)
      var given = true
      while left > 0, given {
        given = false
        for (index, port) in ports.enumerated() where left > 0 && counts[index] < port.maximumQueues {
          counts[index] += 1
          left -= 1
          given = true
        }
      }
    }
    let total = counts.reduce(0, +)
    guard total <= workers.count else {
      let places = zip(ports, counts).flatMap { port, count in
        (0..<count).map { "(\(port.port),\($0),\(workers[0]))" }
      }
      let one = "let one lcore poll several, as with --config '\(places.joined(separator: ","))'"
      // Workers that share CPUs with each other are slower than one that polls all queues, and their times are worse.
      let remedy =
        cpus.count > total
        ? "give EAL \(total + 1 + exporters) lcores ("
          + "\(EALArguments.lcores(workers: total, exporters: exporters, cpus: cpus))), lower --queues, or \(one)"
        : "\(one), or lower --queues"
      throw .usage(
        "\(total) RX queue\(total == 1 ? "" : "s") on \(ports.count) port\(ports.count == 1 ? "" : "s") need "
          + "\(total) worker lcores, there \(workers.count == 1 ? "is 1" : "are \(workers.count)"): \(remedy)"
      )
    }
    return counts
  }

  /// The map that `--config` gives, checked.
  private static func explicit(
    _ config: QueueMap, control: UInt32, exporters: [UInt32], workers: [UInt32], ports: [PortLimits]
  ) throws(Failure) -> [UInt32: [QueueID]] {
    var assigned: [UInt32: [QueueID]] = [:]
    let choices = workers.map(String.init).joined(separator: ", ")
    for entry in config.entries {
      guard let port = ports.first(where: { $0.port == entry.port }) else {
        let known = ports.map { String($0.port) }.joined(separator: ", ")
        throw .usage("--config names port \(entry.port), there is only: \(known)")
      }
      guard Int(entry.queue) < port.maximumQueues else {
        throw .usage(
          "--config names queue \(entry.queue) of port \(port.port) (\(port.name)), which has "
            + "\(port.maximumQueues), numbered from 0")
      }
      guard workers.contains(entry.lcore) else {
        let role =
          entry.lcore == control
          ? "which controls" : exporters.contains(entry.lcore) ? "which exports" : "which EAL did not start"
        throw .usage("--config names lcore \(entry.lcore), \(role): the worker lcores are \(choices)")
      }
      assigned[entry.lcore, default: []].append(QueueID(port: entry.port, queue: entry.queue))
    }
    for port in ports {
      let numbers = Set(config.entries.filter { $0.port == port.port }.map(\.queue))
      guard let highest = numbers.max() else {
        throw .usage(
          "--config leaves port \(port.port) (\(port.name)) without a queue: add (\(port.port),0,lcore)")
      }
      if let gap = (0...highest).first(where: { !numbers.contains($0) }) {
        throw .usage(
          "--config leaves queue \(gap) of port \(port.port) without an lcore: its packets would be lost")
      }
    }
    return assigned.mapValues { $0.sorted { ($0.port, $0.queue) < ($1.port, $1.queue) } }
  }
}

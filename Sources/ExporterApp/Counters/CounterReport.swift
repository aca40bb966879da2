// The counters as text: a line while running, a table at the end.
import FlowCore
import Wire

/// The `--stats` line and the totals with every counter; `StatsReport` chooses between the forms.
enum CounterReport {
  /// One line: every counter's total as name=value, and the packet rate since `previous`.
  static func line(_ now: CounterSnapshot, previous: CounterSnapshot, seconds: Double) -> String {
    var words: [String] = []
    for counter in CounterTable.all {
      let total = now.total(counter)
      words.append("\(counter.word)=\(total)")
      if counter.name == "received", seconds > 0 {
        words.append("rate=\(fixed(Double(total &- previous.total(counter)) / seconds / 1e6, digits: 3))Mpps")
      }
    }
    return words.joined(separator: " ")
  }

  /// A table with a column per worker lcore and a total, then those of the ports, of the outputs, and of several export
  /// lcores.
  static func totals(_ snapshot: CounterSnapshot) -> String {
    var columns = snapshot.names(.worker)
    if columns.count != 1 { columns.append("total") }
    var rows = [["counter"] + columns]
    for counter in CounterTable.all where counter.scope == .worker {
      var values = snapshot.values(counter).map(String.init)
      if values.count != 1 { values.append(String(snapshot.total(counter))) }
      rows.append([counter.name] + values)
    }
    if let costs = costs(snapshot) { rows.append(["CPU ns per packet"] + costs) }
    var text = table(rows) + passes(snapshot)
    if !snapshot.ports.isEmpty {
      rows = [["counter"] + snapshot.names(.port)]
      for counter in CounterTable.all where counter.scope == .port {
        rows.append([counter.name] + snapshot.values(counter).map(String.init))
      }
      text += table(rows)
    }
    return text + table(outputs(snapshot)) + exporters(snapshot) + faults(snapshot)
  }

  /// The same in groups, without what is 0.
  static func grouped(_ snapshot: CounterSnapshot) -> String {
    let groups = GroupedTotals(snapshot)
    let costs = costs(snapshot).map { table([["CPU ns per packet"] + $0]) } ?? ""
    return groups.workers + costs + passes(snapshot) + groups.outputs + faults(snapshot)
  }

  /// What a packet costs each worker; nil where that says nothing. A worker polls whether packets come or not, so that the
  /// time of one that mostly found none, divided by its few packets, is no packet's.
  private static func costs(_ snapshot: CounterSnapshot) -> [String]? {
    let costs = snapshot.workers.map { worker in
      let loop = worker.loop
      // Offline there is no polling, and with --receive-only nobody looks how much of it is idle.
      let activity = loop.activity
      let isBusy = activity.busyCycles == 0 || activity.busyCycles >= activity.cycles / 2
      guard loop.received > 0, loop.nanoseconds > 0, isBusy else { return "-" }
      return fixed(Double(loop.nanoseconds) / Double(loop.received), digits: 1)
    }
    return costs.contains { $0 != "-" } ? costs : nil
  }

  /// Whose mistakes the parser faults are; nothing where there are none.
  private static func faults(_ snapshot: CounterSnapshot) -> String {
    let faults = snapshot.faults
    guard !faults.isEmpty else { return "" }
    return table([["parser faults of", "all lcores"]] + faults.map { [$0.name, String($0.count)] })
  }

  /// What became of the records: a column per output and a total.
  private static func outputs(_ snapshot: CounterSnapshot) -> [[String]] {
    let names = snapshot.names(.output)
    var rows = [["counter"] + (names.count > 1 ? names + ["total"] : ["export"])]
    for counter in CounterTable.all {
      guard let values = snapshot.valuesByOutput(counter) else { continue }
      let each = names.count > 1 ? values.map(String.init) : []
      rows.append([counter.name] + each + [String(snapshot.total(counter))])
    }
    return rows
  }

  /// What several export lcores did each.
  private static func exporters(_ snapshot: CounterSnapshot) -> String {
    guard snapshot.exporters.count > 1 else { return "" }
    var rows = [["counter"] + snapshot.names(.export) + ["total"]]
    for counter in CounterTable.all where counter.scope == .export {
      rows.append([counter.name] + (snapshot.values(counter) + [snapshot.total(counter)]).map(String.init))
    }
    return table(rows)
  }

  /// What the counters say is missing in the records and could be had, or is wrong there.
  static func warnings(_ snapshot: CounterSnapshot) -> [String] {
    var warnings: [String] = []
    let missing = snapshot.workers.reduce(0) { $0 &+ $1.engine.slabFull }
    if missing > 0 {
      warnings.append(
        "plugins had to do without \(missing) blocks of memory (counter 'slab full'), so some records lack fields: "
          + "use a larger --flows, with which this memory grows")
    }
    let received = snapshot.workers.reduce(0) { $0 &+ $1.loop.received }
    let refused = snapshot.workers.reduce(0) { $0 &+ $1.loop.timesRefused }
    if refused > received / 100 {
      warnings.append(
        "\(refused) of \(received) packets came without a time of their device, or with one that cannot be (counter 'times "
          + "refused'), and have the lcore's: --clock tsc gives all packets the same clock")
    }
    for (name, count) in snapshot.faults {
      warnings.append(
        "the \(name) looked \(count) times outside of its bytes (counter 'parser faults'), so some fields are missing "
          + "or wrong: this is a mistake in the program, please report it")
    }
    return warnings
  }

  /// The cycles per packet of each pass, where they were taken: empty polls are not among them.
  private static func passes(_ snapshot: CounterSnapshot) -> String {
    guard snapshot.workers.contains(where: { $0.engine.cycles[total: Pass.dissect.rawValue] > 0 }) else {
      return ""
    }
    var rows = [["cycles per packet"] + snapshot.names(.worker)]
    func add(_ name: String, _ cycles: (CounterSnapshot.WorkerEntry) -> UInt64) {
      let values = snapshot.workers.map { Double(cycles($0)) / Double(max(1, $0.loop.received)) }
      // Offline there is nothing to receive or to give away.
      if values.contains(where: { $0 > 0 }) { rows.append([name] + values.map { fixed($0, digits: 1) }) }
    }
    add("receive") { $0.loop.receiveCycles }
    for pass in Pass.allCases { add(pass.name) { $0.engine.cycles[total: pass.rawValue] } }
    add("release") { $0.loop.releaseCycles }
    return table(rows)
  }

  /// The first column to the left, the others to the right.
  static func table(_ rows: [[String]]) -> String {
    TextTable.text(rows, [.left, .right], indent: "  ")
  }

  /// A number with a fixed count of decimals.
  static func fixed(_ value: Double, digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = ScaledNumber.whole(value * scale)
    if digits == 0 { return String(scaled) }
    let fraction = String(scaled % Int(scale))
    return "\(scaled / Int(scale))." + String(repeating: "0", count: digits - fraction.count) + fraction
  }
}

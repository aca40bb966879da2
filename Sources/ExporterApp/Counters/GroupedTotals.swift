// The totals for somebody who reads them: what belongs together stands together, and what is 0 says nothing.

/// Tables of those counters that are not 0.
struct GroupedTotals {
  private let snapshot: CounterSnapshot

  init(_ snapshot: CounterSnapshot) { self.snapshot = snapshot }

  /// A group of counters under one heading.
  private struct Group {
    let title: String
    let scope: Counter.Scope
    let units: Set<Counter.Unit>?

    /// Whether the counter belongs to it.
    func has(_ counter: Counter) -> Bool {
      counter.scope == scope && units?.contains(counter.unit) ?? true
    }
  }

  /// In the order of a packet's way; each counter is in the first that has it.
  private static let groups = [
    Group(title: "packets", scope: .worker, units: [.packets, .bytes]),
    Group(title: "ports", scope: .port, units: nil),
    Group(title: "flows and records", scope: .worker, units: [.flows, .records]),
    Group(title: "plugins", scope: .worker, units: nil),
  ]

  /// The tables of the workers and ports.
  var workers: String {
    var taken: Set<String> = []
    return Self.groups.map { group in
      let counters = CounterTable.all.filter { group.has($0) && !taken.contains($0.name) }
      taken.formUnion(counters.map(\.name))
      return table(group.title, snapshot.names(group.scope), counters.map { ($0.name, snapshot.values($0)) })
    }.joined()
  }

  /// The table of the outputs: what all of them got is counted once.
  var outputs: String {
    let names = snapshot.names(.output)
    let rows = CounterTable.all.compactMap { counter -> [String]? in
      guard let values = snapshot.valuesByOutput(counter) else { return nil }
      let total = snapshot.total(counter)
      guard total > 0 else { return nil }
      return [counter.name] + (names.count > 1 ? values.map(String.init) : []) + [String(total)]
    }
    guard !rows.isEmpty else { return "" }
    return CounterReport.table([["export"] + (names.count > 1 ? names + ["total"] : names)] + rows)
  }

  /// A table of those rows that are not all 0, with a column of sums where there are several.
  private func table(_ title: String, _ columns: [String], _ rows: [(name: String, values: [UInt64])])
    -> String
  {
    let rows = rows.filter { row in row.values.contains { $0 > 0 } }
    guard !rows.isEmpty else { return "" }
    let hasSum = columns.count > 1
    let cells = rows.map { row in
      [row.name] + row.values.map(String.init) + (hasSum ? [String(row.values.reduce(0, &+))] : [])
    }
    return CounterReport.table([[title] + columns + (hasSum ? ["total"] : [])] + cells)
  }
}

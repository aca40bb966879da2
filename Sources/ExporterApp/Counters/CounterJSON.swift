// Counters as objects of JSON, one on a line, for programs that read standard error.

/// The --stats line and the totals as JSON.
enum CounterJSON {
  /// `{"type":"stats",…}`: every counter's total, and how long it is since the line before.
  static func line(_ snapshot: CounterSnapshot, seconds: Double) -> String {
    object([
      ("type", JSONText.quoted("stats")), ("seconds", CounterReport.fixed(seconds, digits: 3)),
      ("counters", counters(snapshot)),
    ]) + "\n"
  }

  /// `{"type":"totals",…}`: every counter's total, and what each lcore, port and output has of it.
  static func totals(_ snapshot: CounterSnapshot) -> String {
    object([
      ("type", JSONText.quoted("totals")), ("counters", counters(snapshot)),
      ("workers", parts(snapshot, .worker)), ("ports", parts(snapshot, .port)),
      ("outputs", outputs(snapshot)),
      ("parser faults", object(snapshot.faults.map { ($0.name, String($0.count)) })),
    ]) + "\n"
  }

  /// The sums.
  private static func counters(_ snapshot: CounterSnapshot) -> String {
    object(CounterTable.all.map { ($0.word, String(snapshot.total($0))) })
  }

  /// What each of a scope counted, by its name.
  private static func parts(_ snapshot: CounterSnapshot, _ scope: Counter.Scope) -> String {
    let counters = CounterTable.all.filter { $0.scope == scope }
    let values = counters.map { snapshot.values($0) }
    return object(
      snapshot.names(scope).enumerated().map { index, name in
        (name, object(zip(counters, values).map { ($0.word, String($1[index])) }))
      })
  }

  /// What became of the records at each output, by its name.
  private static func outputs(_ snapshot: CounterSnapshot) -> String {
    let counters = CounterTable.all.compactMap { counter in
      snapshot.valuesByOutput(counter).map { (counter.word, $0) }
    }
    return object(
      snapshot.names(.output).enumerated().map { index, name in
        (name, object(counters.map { ($0, String($1[index])) }))
      })
  }

  private static func object(_ members: [(String, String)]) -> String {
    "{" + members.map { "\(JSONText.quoted($0)):\($1)" }.joined(separator: ",") + "}"
  }
}

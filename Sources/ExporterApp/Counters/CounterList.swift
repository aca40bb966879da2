// `--list-counters`: what each counter means, for people and for the table in docs/counters.md that is made from it.

/// The list of all counters.
enum CounterList {
  /// One line for each counter, under a heading.
  static var text: String {
    let heading = ["counter", "kind", "unit", "counted by", "what it counts"]
    let rows = CounterTable.all.map { counter in
      [counter.name, counter.kind.rawValue, counter.unit.rawValue, counter.scope.rawValue, counter.help]
    }
    return TextTable.text([heading] + rows, [.left])
  }
}

// A metric as Prometheus and OpenMetrics know it: a family with a name, and a value for each set of labels. Counters become
// metrics by their declarations, everything else that is shown has its own in `MetricTable`.

/// A family of values under one name.
struct Metric: Sendable {
  /// What its values are.
  enum Kind: String, Sendable {
    /// It only grows.
    case counter
    /// It goes up and down.
    case gauge
    /// Counts by bounds, with a sum.
    case histogram
    /// The driver knows: the values are its own.
    case unknown
  }

  /// A number in one of the two forms that are shown exactly.
  enum Number: Sendable, Equatable {
    case whole(UInt64)
    case decimal(Double)
  }

  /// One value.
  struct Sample: Sendable {
    /// The values of the family's labels, in their order.
    var labels: [String]
    var number: Number
    /// Which part of a histogram it is; nil for other kinds.
    var bound: Bound?

    init(_ labels: [String], _ number: Number, bound: Bound? = nil) {
      self.labels = labels
      self.number = number
      self.bound = bound
    }
  }

  /// A part of a histogram, in the order in which they stand: counts by upper bound, of all; the sum; the count again.
  enum Bound: Sendable, Equatable {
    case atMost(Int)
    case all
    case sum
    case count
  }

  /// The family's name: without `_total`, which a counter's values have.
  let name: String
  let kind: Kind
  /// What is counted, where the name ends with it; else "".
  let unit: String
  /// What it says, in words.
  let help: String
  /// The labels' names.
  let labels: [String]
  /// Its values at a moment.
  let samples: @Sendable (RunSnapshot) -> [Sample]

  /// - Parameter name: without `martlet_` and the unit.
  init(
    _ name: String, _ kind: Kind, unit: String, _ help: String, labels: [String],
    _ samples: @escaping @Sendable (RunSnapshot) -> [Sample]
  ) {
    let word = String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    // Where the name says already what is counted it is not said again.
    let isSaid = unit.isEmpty || word.split(separator: "_").contains(Substring(unit))
    let name = "martlet_" + word + (isSaid ? "" : "_" + unit)
    self.name = name
    self.unit = name.hasSuffix("_" + unit) ? unit : ""
    self.kind = kind
    self.help = help
    self.labels = labels
    self.samples = samples
  }

  /// What its values are called: that of a counter ends in `_total`.
  var sampleName: String { kind == .counter ? name + "_total" : name }
}

extension Counter {
  /// The counter as a metric: its name behind who counts, and its unit.
  var metric: Metric {
    let labels = scope.metricLabels
    let scope = scope
    return Metric(
      "\(scope.metricWord) \(name)", kind == .counter ? .counter : .gauge, unit: unit.rawValue, help,
      labels: labels
    ) { snapshot in
      zip(snapshot.labels(scope), snapshot.counters.values(self)).map { .init($0, .whole($1)) }
    }
  }
}

extension Counter.Scope {
  /// How the names of its metrics begin.
  fileprivate var metricWord: String {
    switch self {
    case .worker: "worker"
    case .port: "port"
    case .export: "export"
    case .output: "output"
    }
  }

  /// What tells those apart that count.
  fileprivate var metricLabels: [String] {
    switch self {
    case .worker, .export: ["lcore"]
    case .port: ["port", "device"]
    case .output: ["lcore", "number", "output"]
    }
  }
}

extension RunSnapshot {
  /// The labels' values of all that count in `scope`, in the order of their values.
  fileprivate func labels(_ scope: Counter.Scope) -> [[String]] {
    switch scope {
    case .worker: counters.workers.map { [String($0.lcore)] }
    case .export: counters.exporters.map { [String($0.lcore)] }
    case .port: counters.ports.map { [String($0.port), deviceName($0.port)] }
    case .output:
      counters.exporters.flatMap { exporter in
        exporter.outputs.enumerated().map { [String(exporter.lcore), String($0 + 1), $1.name] }
      }
    }
  }
}

// Metrics as scrapers read them: Prometheus's text format 0.0.4, and OpenMetrics 1.0, which differ in a few words.

/// A text format for metrics.
enum MetricFormat: Sendable {
  /// https://prometheus.io/docs/instrumenting/exposition_formats/
  case prometheus
  /// https://prometheus.io/docs/specs/om/open_metrics_spec/
  case openMetrics

  /// What a response with it says it is.
  var contentType: String {
    switch self {
    case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
    case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
    }
  }

  /// The format that a request's Accept header prefers: OpenMetrics where it is named with no less weight than text
  /// (RFC 9110 section 12.5.1), else Prometheus's, which everybody reads.
  init(accept: String) {
    var weights = (openMetrics: 0.0, text: 0.0)
    // A header has a few ranges; what is longer is nobody's wish.
    for range in accept.split(separator: ",").prefix(32) {
      let parts = range.split(separator: ";").map { part in
        part.filter { $0 != " " && $0 != "\t" }.lowercased()
      }
      let weight = parts.dropFirst().first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
      switch parts.first {
      case "application/openmetrics-text": weights.openMetrics = max(weights.openMetrics, weight)
      case "text/plain", "text/*", "*/*": weights.text = max(weights.text, weight)
      default: break
      }
    }
    self = weights.openMetrics > 0 && weights.openMetrics >= weights.text ? .openMetrics : .prometheus
  }

  /// All metrics with their values in `snapshot`; those without values are left out.
  func text(_ snapshot: RunSnapshot, of metrics: [Metric] = MetricTable.all) -> String {
    var text = ""
    for metric in metrics {
      let samples = metric.samples(snapshot)
      if samples.isEmpty { continue }
      heading(metric, &text)
      for sample in samples { line(metric, sample, &text) }
    }
    if self == .openMetrics { text += "# EOF\n" }
    return text
  }

  /// What a family is.
  private func heading(_ metric: Metric, _ text: inout String) {
    // Prometheus knows a counter by the name of its values, and calls what is not known untyped.
    let name = self == .openMetrics ? metric.name : metric.sampleName
    let kind = self == .prometheus && metric.kind == .unknown ? "untyped" : metric.kind.rawValue
    text +=
      "# HELP \(name) \(Self.escaped(metric.help, quotes: self == .openMetrics))\n# TYPE \(name) \(kind)\n"
    if self == .openMetrics, !metric.unit.isEmpty { text += "# UNIT \(name) \(metric.unit)\n" }
  }

  /// A value with its labels.
  private func line(_ metric: Metric, _ sample: Metric.Sample, _ text: inout String) {
    var labels = zip(metric.labels, sample.labels).map { "\($0)=\"\(Self.escaped($1, quotes: true))\"" }
    var name = metric.sampleName
    switch sample.bound {
    case .atMost(let bound):
      name += "_bucket"
      // OpenMetrics writes bounds as floating point numbers, which both read.
      labels.append("le=\"\(bound).0\"")
    case .all:
      name += "_bucket"
      labels.append("le=\"+Inf\"")
    case .sum: name += "_sum"
    case .count: name += "_count"
    case nil: break
    }
    text += "\(name)\(Self.braces(labels)) \(Self.text(sample.number))\n"
  }

  private static func braces(_ labels: [String]) -> String {
    labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
  }

  private static func text(_ number: Metric.Number) -> String {
    switch number {
    case .whole(let number): String(number)
    case .decimal(let number): String(number)
    }
  }

  /// Text in a label's value or behind a name, with what would end it escaped.
  private static func escaped(_ text: String, quotes: Bool) -> String {
    guard text.utf8.contains(where: { $0 == 0x5C || $0 == 0x22 || $0 == 0x0A }) else { return text }
    let escaped = text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    return quotes ? escaped.replacing("\"", with: "\\\"") : escaped
  }
}

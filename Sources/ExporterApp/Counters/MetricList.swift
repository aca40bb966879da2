// `--list-metrics`: what `--metrics` serves, for people and for the table in docs/counters.md that is made from it.

/// The list of all metrics.
enum MetricList {
  /// One line for each metric, under a heading.
  static var text: String {
    let heading = ["metric", "type", "labels", "what it says"]
    let rows = MetricTable.all.map { metric in
      [
        metric.sampleName, metric.kind.rawValue,
        metric.labels.isEmpty ? "-" : metric.labels.joined(separator: ", "),
        metric.help,
      ]
    }
    return TextTable.text([heading] + rows, [.left])
  }
}

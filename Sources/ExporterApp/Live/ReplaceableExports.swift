// The exports of a run that goes on: a settings file that is read again may add some and take some away.

/// All outputs of a live run.
struct ReplaceableExports: ReplaceablePart {
  /// Of each export lcore.
  let outputs: [Outputs]
  /// The captures that devices replay, which are inputs.
  let inputs: [String]
  /// What collectors get stays as it was.
  let mode: ExportMode

  var options: Set<String> { ["export"] }

  func replace(by configuration: RunConfiguration) throws(Failure) {
    // A file that is being written, or could not be, is empty for a while: that must not end all exports.
    guard !configuration.exports.isEmpty else {
      throw .usage("no export is left, and flows would go nowhere")
    }
    let plan = try OutputPlan(configuration.exports, fallback: nil, inputs: inputs, exporters: outputs.count)
    try plan.checkCollectors(mode)
    for exporter in outputs { try OutputChanges(outputs: exporter).replace(by: plan) }
  }
}

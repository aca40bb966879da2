// One `--plugin model:…`: which model, when it is asked, and what becomes of its answer.

/// What is asked of one model.
struct ModelRequest: Equatable, Sendable {
  /// `NAME.model`.
  var file: String
  /// The packet after which it judges a flow; 0 for its end.
  var after: Int
  /// A lower score gives no label.
  var minimumScore: Double
  /// The labels that end the flow's record at once; `*` for any.
  var alarms: [String]

  /// - Throws: an option with a wrong value, or without another that it needs.
  init(_ options: borrowing PluginOptions) throws(FlowSetupError) {
    file = options.path("file") ?? ""
    after = options.number("after")
    let text = options.text("min-score")
    guard let score = text.isEmpty ? 0 : Double(text), score.isFinite, (0...1).contains(score) else {
      throw .plugin("option min-score of plugin model takes a number from 0 to 1, not '\(text)'")
    }
    minimumScore = text.isEmpty ? -.infinity : score
    let alarm = options.text("alarm")
    alarms = alarm.isEmpty ? [] : alarm.split(separator: "|").map(String.init)
    if !alarms.isEmpty, after == 0 {
      throw .plugin(
        "option alarm of plugin model ends a flow's record early: say with after=N at which packet it is judged"
      )
    }
  }
}

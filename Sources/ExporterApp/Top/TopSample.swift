// What `martlet top` knows of a run at one moment.

/// The answers to one round of questions.
struct TopSample {
  /// When they were asked, nanoseconds of the monotonic clock.
  var time: UInt64
  /// Totals of counters.
  var stats: JSONValue
  /// By lcore.
  var lcores: JSONValue
  /// By number.
  var outputs: JSONValue
  /// By their place among the largest.
  var flows: JSONValue

  /// Asks for everything.
  ///
  /// - Parameter flowCount: how many flows, at least one.
  /// - Throws: the program does not answer any more.
  init(_ client: borrowing TelemetryClient, flowCount: Int) throws(Failure) {
    time = Clock.monotonic()
    stats = try client.ask("/martlet/stats")
    lcores = try client.ask("/martlet/lcores")
    outputs = try client.ask("/martlet/outputs")
    flows = try client.ask("/martlet/flows,\(max(1, flowCount))")
  }

  /// Answers that are already there.
  init(time: UInt64, stats: JSONValue, lcores: JSONValue, outputs: JSONValue, flows: JSONValue) {
    self.time = time
    self.stats = stats
    self.lcores = lcores
    self.outputs = outputs
    self.flows = flows
  }
}

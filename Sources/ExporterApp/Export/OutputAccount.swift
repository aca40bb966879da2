// What an output did, for who has no need of the output itself.

/// The counts of an output, or of several together.
struct OutputAccount: Sendable {
  /// As the user wrote it.
  var name: String
  var counters: OutputCounters
  /// The trouble in which records were lost last; empty when none is known.
  var lossReason = ""
  /// Why it ended for good, where it did.
  var failure: ExportError?

  /// The same for one that others will be added to.
  var namedAsMany: OutputAccount {
    var account = self
    account.name = "former outputs"
    return account
  }

  /// Both together, under this one's name.
  func adding(_ other: OutputAccount) -> OutputAccount {
    var sum = self
    sum.counters.add(other.counters)
    if !other.lossReason.isEmpty { sum.lossReason = other.lossReason }
    sum.failure = failure ?? other.failure
    return sum
  }
}

extension Outputs.Entry {
  /// What other threads may know of it.
  var publishedAccount: OutputAccount { OutputAccount(name: name, counters: published.pointee) }

  /// What became of it; for who uses it last.
  var account: OutputAccount {
    // A reader that has seen enough (`martlet … | head`) is no failure.
    let failure: ExportError? = if case .readerGone = output.failure { nil } else { output.failure }
    return OutputAccount(name: name, counters: output.counters, lossReason: lossReason, failure: failure)
  }
}

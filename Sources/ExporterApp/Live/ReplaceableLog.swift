// How much a run that goes on says, in which form and where: a settings file that is read again may ask for something else.

/// What becomes of messages.
struct ReplaceableLog: ReplaceablePart {
  var options: Set<String> { ["log-level", "log-format", "log-to"] }

  func replace(by configuration: RunConfiguration) throws(Failure) {
    try Console.configure(configuration.log)
  }
}

// Trouble with an output is said when it happens, but not again for each record.

/// One line on standard error about an output, at most every half minute, and one when the trouble is over.
struct Complaint {
  /// The output's name, as the user gave it.
  let name: String
  private var silentUntil: UInt64 = 0
  private var isOpen = false
  /// Nanoseconds between two lines.
  private static let interval: UInt64 = 30_000_000_000

  init(name: String) { self.name = name }

  /// Says what is wrong, unless something was said a moment ago.
  mutating func say(_ text: String) {
    let now = Clock.monotonic()
    guard now >= silentUntil else { return }
    silentUntil = now &+ Self.interval
    isOpen = true
    logger.warning("\(name): \(text)")
  }

  /// Says that the trouble is over, if it was said.
  mutating func resolve(_ text: String) {
    guard isOpen else { return }
    isOpen = false
    logger.info("\(name): \(text)")
  }
}

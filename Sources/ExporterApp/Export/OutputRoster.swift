// The outputs of an export lcore as other threads know them: which it has or will have, and which it had.

/// The entries as threads other than their lcore's know them.
struct OutputRoster: Sendable {
  /// Those that the lcore has, or takes at its next look.
  private(set) var current: [Outputs.Entry] = []
  /// The choice among them, where not all get all.
  private(set) var choice = CollectorChoice(names: [])
  /// Those that went, or go at its next look: their counters count on.
  private(set) var former: [Outputs.Entry] = []
  /// Those of them that nobody closes yet, with the number of the replacement after which the lcore does not know them.
  private var leaving: [(entry: Outputs.Entry, replacement: UInt64)] = []

  init(_ entries: [Outputs.Entry], _ mode: ExportMode) { replace(by: entries, mode, replacement: 0) }

  /// All that there are and were.
  var all: [Outputs.Entry] { current + former }

  /// Puts others in the place of those there are.
  mutating func replace(by entries: [Outputs.Entry], _ mode: ExportMode, replacement: UInt64) {
    let gone = current.filter { entry in !entries.contains { $0 === entry } }
    former += gone
    leaving += gone.map { ($0, replacement) }
    current = entries
    for entry in entries { entry.nextPlace = nil }
    let collectors = mode == .mirror ? [] : entries.filter(\.url.isCollector)
    for (place, entry) in collectors.enumerated() { entry.nextPlace = place }
    choice = CollectorChoice(names: collectors.map(\.name))
  }

  /// Takes out those that are to be closed, where the lcore has taken so many replacements.
  mutating func takeRetired(_ taken: UInt64) -> [Outputs.Entry] {
    let retired = leaving.filter { $0.replacement <= taken }.map(\.entry)
    leaving.removeAll { $0.replacement <= taken }
    return retired
  }
}

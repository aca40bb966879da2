// The outputs of an export lcore as other threads know them: which it has or will have, and what those did that it had. A run may
// change its outputs as often as it likes: what stays of one is a few numbers, and of many no more than of some.

/// The entries as threads other than their lcore's know them.
struct OutputRoster: Sendable {
  /// An output that is not the lcore's any more, or will not be at its next look.
  private struct Leaving: Sendable {
    let entry: Outputs.Entry
    /// The number of the replacement after which the lcore does not know it.
    let replacement: UInt64
    /// Whether somebody closes it.
    var isClosing = false
  }

  /// Those that the lcore has, or takes at its next look.
  private(set) var current: [Outputs.Entry] = []
  /// The choice among them, where not all get all.
  private(set) var choice = CollectorChoice(names: [])
  /// Those that went and are still open.
  private var leaving: [Leaving] = []
  /// What became of those that are closed, the last ones.
  private var former: [OutputAccount] = []
  /// What became of all before them; nil for none.
  private var earlier: OutputAccount?

  /// How many closed outputs are told apart.
  private static let mostFormer = 8

  init(_ entries: [Outputs.Entry], _ mode: ExportMode) { replace(by: entries, mode, replacement: 0) }

  /// What all that there are and were did, as far as it is published; sums over them only grow.
  var published: [OutputAccount] {
    (current + leaving.map(\.entry)).map(\.publishedAccount) + former + (earlier.map { [$0] } ?? [])
  }

  /// The same at the end, when no thread uses them any more.
  var final: [OutputAccount] {
    (current + leaving.map(\.entry)).map(\.account) + former + (earlier.map { [$0] } ?? [])
  }

  /// Puts others in the place of those there are.
  mutating func replace(by entries: [Outputs.Entry], _ mode: ExportMode, replacement: UInt64) {
    let gone = current.filter { entry in !entries.contains { $0 === entry } }
    leaving += gone.map { Leaving(entry: $0, replacement: replacement) }
    current = entries
    for entry in entries { entry.nextPlace = nil }
    let collectors = mode == .mirror ? [] : entries.filter(\.url.isCollector)
    for (place, entry) in collectors.enumerated() { entry.nextPlace = place }
    choice = CollectorChoice(names: collectors.map(\.name))
  }

  /// Those that are to be closed now, where the lcore has taken so many replacements.
  mutating func takeRetired(_ taken: UInt64) -> [Outputs.Entry] {
    var retired: [Outputs.Entry] = []
    for index in leaving.indices where !leaving[index].isClosing && leaving[index].replacement <= taken {
      leaving[index].isClosing = true
      retired.append(leaving[index].entry)
    }
    return retired
  }

  /// Keeps of those that are closed what they did.
  ///
  /// - Returns: whether some are still being closed.
  mutating func settle() -> Bool {
    // Asked once: another may be closed meanwhile.
    let open = leaving.map { !$0.entry.isClosed }
    former += zip(leaving, open).filter { !$1 }.map(\.0.entry.account)
    leaving = zip(leaving, open).filter { $1 }.map(\.0)
    while former.count > Self.mostFormer {
      let oldest = former.removeFirst()
      earlier = earlier?.adding(oldest) ?? oldest.namedAsMany
    }
    return leaving.contains(where: \.isClosing)
  }
}

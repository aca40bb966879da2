// What went into a connection lately, because only its last octets are known to be under way when it breaks.
import Wire

/// The lengths of the pieces sent lately, and what each of them held: enough of them to cover any socket buffer.
struct SentHistory: ~Copyable {
  private struct Entry: BitwiseCopyable {
    var length: Int
    var content: Int
  }

  private var entries = GrowableList<Entry>()
  private var next = 0
  private static let limit = 1 << 16

  /// Adds a piece of `length` octets that holds so much, counted in whatever the owner counts.
  mutating func add(length: Int, content: Int) {
    let entry = Entry(length: length, content: content)
    if entries.count < Self.limit {
      entries.append(entry)
    } else {
      entries[next] = entry
      next = (next &+ 1) % Self.limit
    }
  }

  /// What the pieces that overlap the last `octets` octets hold: one that arrived in part has not arrived.
  func content(inLast octets: Int) -> Int {
    var rest = octets
    var content = 0
    var index = next
    var left = entries.count
    while left > 0, rest > 0 {
      index = index > 0 ? index &- 1 : entries.count &- 1
      let entry = entries[index]
      rest &-= entry.length
      content &+= entry.content
      left &-= 1
    }
    return content
  }
}

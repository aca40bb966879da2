// A connection of this host and whose it is, as plain words: so that they can be shared word by word.
import Wire

/// A connection by its two ends, in either order: both of its directions have the same key.
public struct SocketKey: BitwiseCopyable, Hashable, Sendable {
  /// Address and port of the lower end, then of the higher one.
  let low: (UInt64, UInt64)
  let high: (UInt64, UInt64)
  /// Port of the lower end 16, of the higher one 16, 0 16, IP version 8, protocol 8: never 0.
  let rest: UInt64

  /// The connection between these ends.
  public init(
    _ one: IPAddress, _ onePort: UInt16, _ other: IPAddress, _ otherPort: UInt16, protocolNumber: UInt8
  ) {
    let isOrdered =
      (one.high, one.low, UInt64(onePort)) <= (other.high, other.low, UInt64(otherPort))
    let (first, second) = isOrdered ? (one, other) : (other, one)
    let (firstPort, secondPort) = isOrdered ? (onePort, otherPort) : (otherPort, onePort)
    low = (first.high, first.low)
    high = (second.high, second.low)
    rest =
      UInt64(firstPort) << 48 | UInt64(secondPort) << 32 | (one.isVersion6 ? 6 : 4) << 8
      | UInt64(protocolNumber)
  }

  /// The connection that a flow is, if it is one of this host.
  init<P: FlowPlugin>(_ flow: borrowing FlowContext<P>) {
    let key = flow.record.pointee.key
    self.init(
      flow.source, key.sourcePort, flow.destination, key.destinationPort, protocolNumber: key.protocolNumber)
  }

  public static func == (one: SocketKey, other: SocketKey) -> Bool {
    one.low == other.low && one.high == other.high && one.rest == other.rest
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(low.0)
    hasher.combine(low.1)
    hasher.combine(high.0)
    hasher.combine(high.1)
    hasher.combine(rest)
  }

  /// How many words a key has.
  static let words = 5

  /// Word `index` of the key; 0 behind the last.
  @inline(__always)
  subscript(index: Int) -> UInt64 {
    switch index {
    case 0: rest
    case 1: low.0
    case 2: low.1
    case 3: high.0
    case 4: high.1
    default: 0
    }
  }
}

/// The program and the user that a connection belongs to.
public struct SocketOwner: BitwiseCopyable, Sendable {
  /// The most bytes that either name has: a Linux command's have 15, a user's 32.
  public static let longestName = 40
  /// How many words the names take.
  static let words = 2 * longestName / 8

  /// How many bytes of `text` are the program's name; the user's is behind it.
  let programLength: UInt8
  let userLength: UInt8
  /// Both names as they lie in memory.
  private var text = InlineArray<10, UInt64>(repeating: 0)

  /// An owner by UTF-8 names, of which the first 40 bytes count; where a character has only some of these, none.
  public init(program: String, user: String) {
    let program = Self.cut(program)
    let user = Self.cut(user)
    (programLength, userLength) = (UInt8(program.count), UInt8(user.count))
    for (index, byte) in (program + user).enumerated() {
      text[total: index / 8] |= UInt64(byte) << UInt64(index % 8 * 8)
    }
  }

  /// The bytes of the first characters of `name` that have no more than there is room for.
  private static func cut(_ name: String) -> [UInt8] {
    var bytes: [UInt8] = []
    for scalar in name.unicodeScalars {
      let next = Array(String(scalar).utf8)
      guard bytes.count + next.count <= longestName else { break }
      bytes += next
    }
    return bytes
  }

  /// The owner whose names' lengths and words these are.
  @inline(__always)
  init(lengths: UInt64, word: (_ index: Int) -> UInt64) {
    let longest = UInt64(Self.longestName)
    programLength = UInt8(truncatingIfNeeded: min(longest, lengths & 0xFF))
    userLength = UInt8(truncatingIfNeeded: min(longest, lengths >> 8))
    var index = 0
    while index < Self.words {
      text[total: index] = word(index)
      index &+= 1
    }
  }

  /// Both lengths in a word, and word `index` of the names.
  var lengths: UInt64 { UInt64(programLength) | UInt64(userLength) << 8 }
  func word(_ index: Int) -> UInt64 { text[total: index] }

  /// Calls `body` with both names, the program's first.
  @inline(__always)
  func withNames(_ body: (Bytes) -> Void) {
    var copy = text
    withUnsafeBytes(of: &copy) { body(Bytes($0).prefix(Int(programLength) &+ Int(userLength))) }
  }
}

// The tunnels around a packet as part of its flow's key: compared in full, so that two flows that are alike but for a VNI
// are two flows.

/// One tunnel: its kind and its identifier in a word.
///
///     | kind 8 | 0 23 | has identifier 1 | identifier 32 |
///     63       55                      32 31             0
struct TunnelLevel: BitwiseCopyable, Equatable {
  let word: UInt64

  /// No tunnel.
  static let none = TunnelLevel(word: 0)
  private static let hasIdentifier: UInt64 = 1 << 32

  @inline(__always)
  init(word: UInt64) { self.word = word }

  /// A tunnel of `kind`; `identifier` is nil where its header has none.
  @inline(__always)
  init(_ kind: TunnelKind, identifier: UInt32?) {
    word = UInt64(kind.rawValue) << 56 | (identifier.map { TunnelLevel.hasIdentifier | UInt64($0) } ?? 0)
  }

  /// The kind; nil without a tunnel.
  @inline(__always) var kind: TunnelKind? { TunnelKind(rawValue: UInt8(truncatingIfNeeded: word >> 56)) }
  /// The identifier; nil where there is none.
  @inline(__always) var identifier: UInt32? {
    word & TunnelLevel.hasIdentifier != 0 ? UInt32(truncatingIfNeeded: word) : nil
  }
  /// What both directions of a conversation have in common.
  @inline(__always) var shared: UInt64 {
    kind?.identifier == .directional ? word & ~0xFFFF_FFFF : word
  }
}

/// The tunnels around a packet, the outermost first; `TunnelLevel.none` behind the last.
struct TunnelPath: BitwiseCopyable {
  private var words = InlineArray<4, UInt64>(repeating: 0)

  /// How many tunnels are opened, one in the other.
  static let most = 4

  init() {}

  /// The tunnel at `index`.
  @inline(__always)
  subscript(index: Int) -> TunnelLevel {
    get { TunnelLevel(word: words[total: index]) }
    set { words[total: index] = newValue.word }
  }

  /// Whether there is no tunnel.
  @inline(__always) var isEmpty: Bool { words[0] == 0 }

  /// The tunnel right around the packet.
  @inline(__always) var innermost: TunnelLevel {
    var index = TunnelPath.most &- 1
    while index > 0, words[total: index] == 0 { index &-= 1 }
    return self[index]
  }

  /// 0 where all tunnels are equal.
  @inline(__always)
  func difference(_ other: TunnelPath) -> UInt64 {
    (words[0] ^ other.words[0]) | (words[1] ^ other.words[1]) | (words[2] ^ other.words[2])
      | (words[3] ^ other.words[3])
  }

  /// Whether the other path can be the opposite direction's: all is equal that directions have in common.
  @inline(__always)
  func canBeReverse(of other: TunnelPath) -> Bool {
    var (index, difference) = (0, UInt64(0))
    while index < TunnelPath.most {
      difference |= self[index].shared ^ other[index].shared
      index &+= 1
    }
    return difference == 0
  }
}

/// The tunnels of a flow, in a line of its own behind the states of its record: only in records whose key says so, and only
/// where tunnels are part of keys.
struct FlowTunnels: BitwiseCopyable {
  /// Those of the first packet.
  var forward = TunnelPath()
  /// Those of the first packet of the other direction; empty before it came.
  var reverse = TunnelPath()

  static let size = 64

  /// The same as the destination sees them.
  var mirrored: FlowTunnels {
    FlowTunnels(forward: reverse.isEmpty ? forward : reverse, reverse: forward)
  }
}

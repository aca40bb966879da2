// How a plugin reads TCP: not packets, but the bytes of each direction in order (`Stream/`), kept once for all plugins.
import Wire

/// Bytes of one direction that a reader has not taken yet. In order they are the packet's own; they are the packet's and those
/// kept before it where the reader said that it needs more.
public struct StreamBytes: BitwiseCopyable {
  /// The bytes, at least one. Valid during the call.
  public let bytes: Bytes
  /// Whether the flow's source sent them.
  public let isForward: Bool
  /// Bytes of the direction that come before these were not seen, and will not be.
  public let isAfterGap: Bool
}

/// What a reader did with the bytes that it was shown.
public struct Reading: BitwiseCopyable, Sendable {
  /// How many bytes, from the first on, the reader need not see again.
  let taken: Int
  /// What it asks for.
  let verdict: Verdict

  /// Took all bytes, and wants the next ones.
  @inline(__always) public static var all: Reading { Reading(taken: .max, verdict: Verdict(rawValue: 0)) }
  /// Took `count` bytes and needs more than there are to go on: the rest is kept and shown again with what follows.
  @inline(__always)
  public static func incomplete(taken count: Int = 0) -> Reading {
    Reading(taken: count, verdict: Verdict(rawValue: 0))
  }
  /// Needs no more of this flow, because it is another protocol's or because all was seen.
  @inline(__always) public static var done: Reading { Reading(taken: .max, verdict: .done) }
  /// Took all bytes, and the flow is exported now.
  @inline(__always) public static var flush: Reading { Reading(taken: .max, verdict: .flush) }
}

/// What the first bytes of a stream are to a reader: asked where a segment arrived ahead of others.
public enum Recognition: UInt8, BitwiseCopyable, Sendable {
  /// Not the beginning of anything that the reader reads.
  case no
  /// It may be, where a beginning is expected.
  case perhaps
  /// It is, wherever it stands: what is missing before it need not be waited for.
  case yes
}

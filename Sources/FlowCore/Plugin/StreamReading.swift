// How a plugin reads TCP: not packets, but the bytes of each direction in order (`Stream/`), kept once for all plugins.
import Wire

/// Bytes of one direction that a reader has not taken yet. In order they are the packet's own; they are the packet's and those
/// kept before it where the reader said that it needs more.
public struct StreamBytes: BitwiseCopyable {
  /// The bytes, at least one. Valid during the call.
  public let bytes: Bytes
  /// Whether the flow's source sent them.
  public let isForward: Bool
  /// Bytes of the direction that come before these were not seen, and will not be; what the reader left is not among these.
  public let isAfterGap: Bool
}

/// What a reader did with the bytes that it was shown.
public struct Reading: BitwiseCopyable, Sendable {
  /// How many bytes, from the first on, the reader need not see again.
  let taken: Int
  /// What it asks for.
  let verdict: Verdict

  @inline(__always)
  init(taken: Int, verdict: Verdict) { (self.taken, self.verdict) = (taken, verdict) }

  /// Took all bytes, and wants the next ones.
  @inline(__always) public static var all: Reading { Reading(taken: .max, verdict: Verdict(rawValue: 0)) }
  /// Took `count` bytes and needs more than there are to go on: the rest is kept, up to 16 KiB, and shown again with what
  /// follows.
  @inline(__always)
  public static func incomplete(taken count: Int = 0) -> Reading {
    Reading(taken: count, verdict: Verdict(rawValue: 0))
  }
  /// Needs no more of this flow, because it is another protocol's or because all was seen.
  @inline(__always) public static var done: Reading { Reading(taken: .max, verdict: .done) }
  /// Took all bytes, and the flow is exported now.
  @inline(__always) public static var flush: Reading { Reading(taken: .max, verdict: .flush) }
  /// The record ends without the packet, which starts a new record of the flow; there all bytes are shown again.
  @inline(__always) public static var startNewRecord: Reading { Reading(taken: 0, verdict: .startNewRecord) }
  /// Took `count` bytes, with which the record ends; the rest is shown at once in a new record of the flow. A packet makes
  /// `Verdict.mostRecords` records at the most.
  @inline(__always)
  public static func nextRecord(taken count: Int) -> Reading { Reading(taken: count, verdict: .nextRecord) }

  /// The same, and the connection is the plugin's: see `StreamClaim`.
  @inline(__always) public var claiming: Reading { Reading(taken: taken, verdict: verdict.union(.claims)) }
}

/// How much of a connection is a plugin's that recognised it (`Reading.claiming`): other plugins are not shown what cannot be
/// theirs. A plugin claims only what it saw from the first bytes on, so that nothing in the midst of another's connection,
/// which somebody put there, takes that away.
public enum StreamClaim: UInt8, BitwiseCopyable, Sendable, Comparable {
  /// None: it claims nothing, and may share the bytes with any other.
  case none
  /// A dialogue in clear text, which may go on as another protocol, as behind STARTTLS or CONNECT. No other dialogue is in it.
  case dialogue
  /// All of it: neither a dialogue nor another protocol that would have all of it is in there.
  case connection

  public static func < (one: StreamClaim, other: StreamClaim) -> Bool { one.rawValue < other.rawValue }
}

/// What bytes are to a reader whose beginning is not that of the stream: asked where a segment arrived ahead of others.
public enum Recognition: UInt8, BitwiseCopyable, Sendable {
  /// Not the beginning of anything that the reader reads.
  case no
  /// It may be, where a beginning is expected.
  case perhaps
  /// It is, wherever it stands: what is missing before it need not be waited for.
  case yes
}

// What a message stream hands to a transport: several finished messages, one after the other in memory.
import Wire

/// Finished messages in sending order; valid until the stream's `removeBatch()`.
///
/// They lie back to back, so that a file or a TCP socket takes them with one write and UDP makes one `sendmmsg` of
/// them.
public struct MessageBatch {
  /// One finished message.
  public struct Message: BitwiseCopyable, Sendable {
    /// Where it starts in `bytes`.
    public let offset: Int
    /// Its length in octets, at most 65535.
    public let length: Int
    /// The data records of flows it holds.
    public let records: Int
    /// The options records it holds, which count in the sequence, too.
    public let options: Int
  }

  /// All messages, back to back.
  public let contents: Bytes
  /// Where each message lies.
  public let messages: ListView<Message>

  /// All messages, for the standard library.
  public var bytes: UnsafeRawBufferPointer { contents.buffer }

  /// The bytes of one message; none where it is not inside.
  public subscript(_ message: Message) -> Bytes { contents.slice(message.offset, message.length) }

  /// The end (exclusive) of the run from `start` on that one send with UDP_SEGMENT can carry: messages of one length, of
  /// which only the last may be shorter; no more than `count` messages and `octets` octets. At least one message.
  public func endOfRun(from start: Int, count: Int, octets: Int) -> Int {
    guard start >= 0, start < messages.count else { return start &+ 1 }
    let length = messages[start].length
    var end = start &+ 1
    var total = length
    while end < messages.count, end &- start < count {
      let next = messages[end].length
      total &+= next
      guard next <= length, total <= octets else { break }
      end &+= 1
      if next < length { break }
    }
    return end
  }

  /// The bytes of the messages from `start` to `end` (exclusive); none where there is no such message.
  public func bytes(from start: Int, to end: Int) -> Bytes {
    guard start < end else { return contents.prefix(0) }
    let (first, last) = (messages[start], messages[end &- 1])
    return contents.slice(first.offset, last.offset &+ last.length &- first.offset)
  }

  /// Data records of flows in all messages; O(messages).
  public var records: Int {
    var sum = 0
    var index = 0
    while index < messages.count {
      sum &+= messages[index].records
      index &+= 1
    }
    return sum
  }
}

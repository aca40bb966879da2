// Between messages and a TCP connection there may be a layer that makes other octets of them: TLS records, compressed blocks.
// This is what such a layer has made and the socket has not taken, and how the two lengths belong together.
import Wire

/// Octets on their way into a TCP connection, and how many octets of messages each piece of them stands for.
struct WireQueue: ~Copyable {
  private var memory: OwnedBytes
  private var head = 0
  private var tail = 0
  private var history = SentHistory()

  /// A queue for at most `capacity` octets.
  init(capacity: Int) { memory = OwnedBytes(count: capacity) }

  /// Whether the socket has taken all.
  var isEmpty: Bool { head == tail }

  /// How many octets can be added.
  var room: Int { memory.count &- tail }

  /// Adds what `write` puts into the free memory, at most `room` octets; it returns how many.
  mutating func append(_ write: (UnsafeMutableRawPointer, _ room: Int) -> Int) -> Int {
    let count = min(max(0, write(memory.base + tail, room)), room)
    tail &+= count
    return count
  }

  /// Adds octets, which must find room.
  mutating func append(_ octets: Bytes) {
    memory.copy(octets, to: tail)
    tail = min(tail &+ octets.count, memory.count)
  }

  /// Adds a number in network byte order, which must find room.
  mutating func append<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
    memory.store(value, at: tail)
    tail = min(tail &+ MemoryLayout<Value>.size, memory.count)
  }

  /// Notes that the last `length` octets stand for `plain` octets of messages: who has not got all of them has none.
  mutating func note(length: Int, plain: Int) { history.add(length: length, content: plain) }

  /// Sends what the connection takes: `.full` where something is left, nil where nothing is.
  mutating func flush(to connection: TCPConnection) -> SendResult? {
    while head < tail {
      switch connection.send(memory.view(head, tail &- head)) {
      case .sent(let count): head = min(head &+ count, tail)
      case .full: return .full
      case .broken(let reason): return .broken(reason)
      }
    }
    (head, tail) = (0, 0)
    return nil
  }

  /// Octets of messages of which something is among the last `octets` that the socket took, or is still here.
  func plain(unacknowledged octets: Int) -> Int { history.content(inLast: octets &+ tail &- head) }

  /// Begins anew, for another connection.
  mutating func restart() {
    (head, tail) = (0, 0)
    history = SentHistory()
  }
}

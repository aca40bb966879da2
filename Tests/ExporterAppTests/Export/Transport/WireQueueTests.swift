// How many octets of messages are lost with a connection whose octets are others: TLS records, compressed blocks.
import Testing
import Wire

@testable import ExporterApp

@Suite struct WireQueueTests {
  private func piece(_ queue: inout WireQueue, length: Int, plain: Int) {
    let octets = OwnedBytes(count: length)
    queue.append(octets.view(0, length))
    queue.note(length: length, plain: plain)
  }

  @Test("what is under way counts whole, in pieces")
  func accounting() {
    var queue = WireQueue(capacity: 1000)
    // A handshake that is no message, and three records of 100 octets for 80, 40 and 60 octets of messages.
    piece(&queue, length: 50, plain: 0)
    for plain in [80, 40, 60] { piece(&queue, length: 100, plain: plain) }
    // Nothing left yet.
    #expect(queue.plain(unacknowledged: 0) == 180)
    #expect(queue.room == 650)
    // There is no connection, so it breaks, and all stays.
    guard case .broken = queue.flush(to: TCPConnection(host: "127.0.0.1", port: 1)) else {
      Issue.record("sent without a connection")
      return
    }
    #expect(queue.plain(unacknowledged: 0) == 180)
    queue.restart()
    #expect(queue.isEmpty && queue.room == 1000 && queue.plain(unacknowledged: 1000) == 0)
  }

  @Test(
    "a history of pieces",
    arguments: [(0, 0), (1, 60), (100, 60), (101, 100), (200, 100), (201, 180), (9999, 180)])
  func history(_ octets: Int, _ content: Int) {
    var history = SentHistory()
    for plain in [80, 40, 60] { history.add(length: 100, content: plain) }
    #expect(history.content(inLast: octets) == content)
  }

  @Test("numbers and octets that find no room change nothing")
  func room() {
    var queue = WireQueue(capacity: 6)
    queue.append(0x4C5A_3463 as UInt32)
    #expect(queue.append { _, room in room + 1 } == 2)
    #expect(queue.room == 0 && queue.append { _, room in room } == 0)
  }
}

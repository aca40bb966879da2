// A collector that reads datagrams and forgets them, and the socket that sends to it.
import CSockets
import Foundation
import IPFIX
import Synchronization

/// Sends batches to a socket of the same machine, which a thread of its own drains.
final class UDPSink {
  private let sender: Int32
  private let runs: UnsafeMutablePointer<martlet_run>
  private let ends: UnsafeMutablePointer<Int>
  private let longestSegment: Int
  private let received = Received()
  private var sent = 0
  /// Runs handed to the kernel: datagrams, or several of equal length at once.
  private(set) var runsSent = 0

  /// Datagrams that arrived.
  private final class Received: Sendable {
    let count = Atomic<Int>(0)
  }

  init() {
    let receiver = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    // Beyond the system's limit where we are root.
    var size: Int32 = 64 << 20
    setsockopt(receiver, SOL_SOCKET, SO_RCVBUFFORCE, &size, 4)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    sender = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    var sendSize: Int32 = 4 << 20
    setsockopt(sender, SOL_SOCKET, SO_SNDBUF, &sendSize, 4)
    let sender = sender
    let isConnected = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(receiver, $0, length) == 0 && getsockname(receiver, $0, &length) == 0
          && connect(sender, $0, length) == 0
      }
    }
    precondition(isConnected, "no loopback socket")
    runs = .allocate(capacity: Int(MARTLET_RUNS))
    runs.initialize(repeating: martlet_run(), count: Int(MARTLET_RUNS))
    ends = .allocate(capacity: Int(MARTLET_RUNS))
    ends.initialize(repeating: 0, count: Int(MARTLET_RUNS))
    longestSegment = martlet_longest_segment(sender)
    let received = received
    Thread.detachNewThread {
      let buffer = UnsafeMutableRawPointer.allocate(byteCount: 65536, alignment: 64)
      while recv(receiver, buffer, 65536, 0) >= 0 { received.count.add(1, ordering: .relaxed) }
    }
  }

  /// Datagrams sent and received until now.
  var counts: (sent: Int, received: Int) { (sent, received.count.load(ordering: .relaxed)) }

  /// Sends the batch as `UDPTransport` does: runs of messages of equal length together, if `segmented` and the kernel can.
  func send(_ batch: MessageBatch, segmented: Bool) {
    var next = 0
    while next < batch.messages.count {
      var count = 0
      var end = next
      while count < Int(MARTLET_RUNS), end < batch.messages.count {
        let start = end
        let length = batch.messages[start].length
        end =
          segmented && length <= longestSegment
          ? batch.endOfRun(from: start, count: Int(MARTLET_SEGMENTS), octets: 65507) : start + 1
        let bytes = batch.bytes(from: start, to: end)
        runs[count] = martlet_run(
          bytes: UnsafeMutableRawPointer(mutating: bytes.base), length: bytes.count,
          segment: end == start + 1 ? 0 : UInt16(length))
        ends[count] = end
        count += 1
      }
      let done = Int(martlet_send_runs(sender, runs, UInt32(count), 0))
      precondition(done > 0, "sendmmsg: \(errno)")
      sent += ends[done - 1] - next
      runsSent += done
      next = ends[done - 1]
    }
  }
}

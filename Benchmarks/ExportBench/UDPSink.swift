// A collector that reads datagrams and forgets them, and the socket that sends to it.
import CSockets
import Foundation
import IPFIX
import Synchronization

/// Sends batches to a socket of the same machine, which a thread of its own drains.
final class UDPSink {
  private let sender: Int32
  private let vectors: UnsafeMutablePointer<iovec>
  private let received = Received()
  private var sent = 0

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
    vectors = .allocate(capacity: Int(MARTLET_DATAGRAMS))
    vectors.initialize(repeating: iovec(), count: Int(MARTLET_DATAGRAMS))
    let received = received
    Thread.detachNewThread {
      let buffer = UnsafeMutableRawPointer.allocate(byteCount: 65536, alignment: 64)
      while recv(receiver, buffer, 65536, 0) >= 0 { received.count.add(1, ordering: .relaxed) }
    }
  }

  /// Datagrams sent and received until now.
  var counts: (sent: Int, received: Int) { (sent, received.count.load(ordering: .relaxed)) }

  /// Sends the batch as `UDPTransport` does.
  func send(_ batch: MessageBatch) {
    var next = 0
    while next < batch.messages.count {
      let count = min(Int(MARTLET_DATAGRAMS), batch.messages.count - next)
      for index in 0..<count {
        let bytes = batch[batch.messages[next + index]]
        vectors[index] = iovec(
          iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
      }
      let done = Int(martlet_send_datagrams(sender, vectors, UInt32(count), 0))
      precondition(done > 0, "sendmmsg: \(errno)")
      sent += done
      next += done
    }
  }

  /// Sends the batch with one system call for each run of messages of the same length, which the kernel takes apart
  /// (UDP_SEGMENT, Linux 4.18): not what `UDPTransport` does, but what it might.
  func sendSegmented(_ batch: MessageBatch) {
    let messages = batch.messages
    var next = 0
    while next < messages.count {
      let size = messages[next].length
      var end = next
      var total = 0
      // The last one may be shorter; at most 64 segments and 65507 octets.
      while end < messages.count, end - next < 64, total + messages[end].length <= 65507,
        end == next || messages[end - 1].length == size, messages[end].length <= size
      {
        total += messages[end].length
        end += 1
      }
      sendRun(
        UnsafeMutableRawPointer(mutating: batch.bytes.baseAddress! + messages[next].offset), total,
        segment: UInt16(size))
      sent += end - next
      next = end
    }
  }

  private func sendRun(_ bytes: UnsafeMutableRawPointer, _ count: Int, segment: UInt16) {
    var vector = iovec(iov_base: bytes, iov_len: count)
    // struct cmsghdr with one uint16_t, padded to its alignment.
    withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { control in
      control.storeBytes(of: 18, as: Int.self)
      control.storeBytes(of: Int32(17), toByteOffset: 8, as: Int32.self)  // SOL_UDP
      control.storeBytes(of: Int32(103), toByteOffset: 12, as: Int32.self)  // UDP_SEGMENT
      control.storeBytes(of: UInt64(segment), toByteOffset: 16, as: UInt64.self)
      withUnsafeMutablePointer(to: &vector) { vector in
        var header = msghdr()
        header.msg_iov = vector
        header.msg_iovlen = 1
        header.msg_control = control.baseAddress
        header.msg_controllen = 24
        precondition(sendmsg(sender, &header, 0) == count, "sendmsg: \(errno)")
      }
    }
  }
}

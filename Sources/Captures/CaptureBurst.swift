// Packets of a capture, copied into a burst's slots: libpcap's buffer holds only one.
import CIntrinsics
import FlowCore
import Glibc

/// A burst's packets in buffers of their own, each buffer as long as its longest packet so far.
public struct CaptureBurst: ~Copyable {
  /// Packets that fit.
  public static let capacity = FlowWorker.burstSize
  /// Bytes of a packet that are kept: libpcap's own limit for most link types.
  public static let longestPacket = 262_144

  /// Packets in the burst.
  public private(set) var count = 0
  /// The packets' bytes.
  public let frames: UnsafeMutablePointer<Frame>
  /// Their times, in nanoseconds since 1970.
  public let times: UnsafeMutablePointer<UInt64>
  private let buffers: UnsafeMutablePointer<UnsafeMutableRawBufferPointer>

  /// Bytes of a slot at first: most packets.
  private static let ordinaryPacket = 2048

  /// An empty burst.
  public init() {
    frames = .allocate(capacity: Self.capacity)
    times = .allocate(capacity: Self.capacity)
    buffers = .allocate(capacity: Self.capacity)
    for slot in 0..<Self.capacity {
      (buffers + slot).initialize(to: .allocate(byteCount: Self.ordinaryPacket, alignment: 64))
    }
  }

  deinit {
    martlet_trace_no_burst()
    for slot in 0..<Self.capacity { buffers[slot].deallocate() }
    frames.deallocate()
    times.deallocate()
    buffers.deallocate()
  }

  /// Whether no further packet fits.
  public var isFull: Bool { count == Self.capacity }

  /// The bytes on the wire of all packets in the burst.
  public var wireBytes: UInt64 { (0..<count).reduce(0) { $0 + UInt64(frames[$1].wire) } }

  /// Copies a packet into the next slot; there must be one.
  public mutating func append(_ packet: Capture.Packet) {
    precondition(!isFull)
    // The slot's packet of the burst before is gone.
    trace()
    let kept = min(packet.captured, Self.longestPacket)
    if buffers[count].count < kept {
      buffers[count].deallocate()
      buffers[count] = .allocate(byteCount: kept, alignment: 64)
    }
    let destination = buffers[count].baseAddress!
    memcpy(destination, packet.bytes, kept)
    frames[count] = Frame(bytes: destination, captured: UInt32(kept), wire: packet.wire)
    times[count] = packet.time
    count += 1
    trace()
  }

  /// Names the packets as what a crash leaves.
  private func trace() { martlet_trace_burst(frames, UInt32(truncatingIfNeeded: count)) }

  /// Forgets the packets.
  public mutating func removeAll() { count = 0 }
}

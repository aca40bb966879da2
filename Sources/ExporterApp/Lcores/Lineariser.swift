// Packets that span several mbufs, made contiguous for the engine. Rare (jumbo frames on small buffers), so a copy
// is the simple way.
import CDPDK
import FlowCore
import Glibc

/// A burst's worth of scratch buffers; lives until the process ends.
struct Lineariser: BitwiseCopyable {
  private let memory: UnsafeMutableRawPointer

  /// Bytes per slot: every IP packet fits; what is longer counts as cut.
  private static let slotSize = 1 << 16

  /// Address space only: the system gives pages when a slot is first used.
  init(slots: Int) { memory = .allocate(byteCount: slots * Self.slotSize, alignment: 64) }

  /// The packet's segments copied into a slot, valid until the slot is used again.
  @inline(never)
  func frame(_ mbuf: OpaquePointer?, slot: Int) -> Frame {
    let destination = memory + slot &* Self.slotSize
    let wire = martlet_mbuf_packet_length(mbuf)
    var copied = 0
    var segment = mbuf
    while let current = segment, copied < Self.slotSize {
      let count = min(Int(martlet_mbuf_data_length(current)), Self.slotSize &- copied)
      guard let data = martlet_mbuf_data(current) else { break }
      memcpy(destination + copied, data, count)
      copied &+= count
      segment = martlet_mbuf_next(current)
    }
    let captured = UInt32(clamping: copied)
    return Frame(bytes: destination, captured: captured, wire: max(wire, captured))
  }
}

// Packets in memory, laid out like mbufs: a ring whose headers are cold when the engine comes to them.
import FlowCore
import Glibc

/// What the packets are like.
struct TrafficKind {
  enum Shape: String, CaseIterable {
    /// Random flows of a working set, some replaced by new ones.
    case ordinary
    /// One flow has every packet.
    case elephant
    /// First and later IPv4 fragments of datagrams that never become whole.
    case fragments
    /// Flows whose endpoints are alike to an unseeded, linear hash (XOR, CRC, symmetric Toeplitz).
    case alike
    /// See `HostilePacket.all`.
    case suites, fingerprint, extensions, options, sessions, resets, lengths, contents, initials, requests,
      offers
  }

  var shape = Shape.ordinary
  var flows: Int
  /// The share of packets that begin a new flow, 0…1; each takes the place of one in the working set.
  var newShare: Double
  /// 60 bytes each, or a mixture up to 1514 with TCP timestamps.
  var isMixed: Bool
}

/// A ring of frames and what fills it.
final class Traffic {
  /// As many packets as a busy port has mbufs.
  static let slots = 16_384
  /// The distance of two mbufs' data: no power of two, so that headers spread over the cache's sets.
  static let stride = 2304

  let frames: UnsafeMutablePointer<Frame>
  private let memory: UnsafeMutableRawPointer
  private let kind: TrafficKind
  private var flows: [UInt32]
  private var next: UInt32
  /// What every packet is like where the shape is one of those.
  private let hostile: HostilePacket?
  private var state: UInt64 = 0x1234_5678_9ABC_DEF1

  init(_ kind: TrafficKind) {
    self.kind = kind
    hostile = HostilePacket.all.first { $0.shape == kind.shape }
    frames = .allocate(capacity: Traffic.slots)
    guard let memory = PlainMemory().allocate(Traffic.slots * Traffic.stride) else { fatalError("no memory") }
    self.memory = memory
    flows = (0..<UInt32(kind.flows)).map { $0 }
    next = UInt32(kind.flows)
    for slot in 0..<Traffic.slots {
      frames[slot] = Frame(bytes: memory + slot * Traffic.stride, captured: 60, wire: 60)
    }
  }

  deinit {
    frames.deallocate()
    PlainMemory().free(memory, Traffic.slots * Traffic.stride)
  }

  @inline(__always)
  private func random() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }

  /// Fills the ring with the working set's flows from `start` on, so that all are in the table; returns how many.
  func fillInOrder(from start: Int) -> Int {
    let count = min(Traffic.slots, flows.count - start) / 32 * 32
    for slot in 0..<count { write(flows[start + slot], slot: slot, isNew: true, isForward: true) }
    return count
  }

  /// Fills the ring with the next packets.
  func fill() {
    let threshold = UInt64(kind.newShare * 4_294_967_296)
    for slot in 0..<Traffic.slots {
      let word = random()
      let place = Int(((word & 0xFFFF_FFFF) &* UInt64(flows.count)) >> 32)
      let isNew = random() >> 32 < threshold
      if isNew {
        flows[place] = next
        next &+= 1
      }
      write(flows[place], slot: slot, isNew: isNew, isForward: isNew || word >> 63 == 0)
    }
  }

  /// Writes the headers of one packet of flow `number`.
  private func write(_ number: UInt32, slot: Int, isNew: Bool, isForward: Bool) {
    let frame = memory + slot * Traffic.stride
    var source: UInt32
    var destination: UInt32
    var ports: (UInt16, UInt16)
    switch kind.shape {
    case .alike:
      // Source and destination exclusive-or to the same for all flows, and so do the ports.
      source = number &* 0x9E37_79B1
      destination = source ^ 0x5555_5555
      ports = (UInt16(truncatingIfNeeded: number >> 7), UInt16(truncatingIfNeeded: number >> 7) ^ 0x3333)
    case .elephant:
      (source, destination, ports) = (0x0A00_0001, 0x0A00_0002, (1234, 443))
    default:
      source = 0x0A00_0000 | number & 0xFF_FFFF
      destination = 0xAC10_0000 | (number &* 0x9E37_79B1) >> 12
      ports = (1024 &+ UInt16(truncatingIfNeeded: number >> 24), number & 1 == 0 ? 443 : 53)
    }
    if !isForward {
      swap(&source, &destination)
      swap(&ports.0, &ports.1)
    }
    let isTCP = hostile?.isTCP ?? (number & 3 != 0)
    let timestamps = kind.isMixed && hostile == nil && isTCP && number & 4 != 0
    let size: Int
    if let hostile {
      let length = hostile.variation == .length ? 60 + Int(random() % 91) : hostile.payload.count
      size = (hostile.isTCP ? 54 + hostile.options.count : 42) + length
    } else {
      size = kind.isMixed ? [60, 66, 90, 570, 1514][Int(number % 5)] + (timestamps ? 12 : 0) : 60
    }
    let captured = min(size, 1514)
    frames[slot].captured = UInt32(captured)
    frames[slot].wire = UInt32(captured)
    func put<T: FixedWidthInteger>(_ value: T, _ offset: Int) {
      frame.storeBytes(of: value.bigEndian, toByteOffset: offset, as: T.self)
    }
    put(UInt64(0x0200_0000_0001_0200), 0)
    put(UInt32(0x0000_0002), 8)
    put(UInt32(0x0800_4500), 12)
    put(UInt16(captured - 14), 16)
    put(UInt16(truncatingIfNeeded: number), 18)
    put(UInt16(0x4000), 20)
    put(UInt8(64), 22)
    put(UInt8(isTCP ? 6 : 17), 23)
    put(source, 26)
    put(destination, 30)
    put(ports.0, 34)
    put(ports.1, 36)
    if kind.shape == .fragments {
      // Every second one begins a datagram; the others belong to none that was seen.
      put(UInt16(number & 1 == 0 ? 0x2000 : 0x2010), 20)
      put(UInt16(truncatingIfNeeded: random()), 18)
    }
    if isTCP {
      put(UInt8(timestamps ? 0x80 : 0x50) + UInt8((hostile?.options.count ?? 0) << 2), 46)
      put(UInt8(isNew && hostile == nil ? 0x02 : 0x10), 47)
      if timestamps { put(UInt32(0x0101_080A), 54) }
    }
    guard let hostile else { return }
    func copy(_ bytes: [UInt8], to offset: Int) {
      bytes.withUnsafeBytes {
        if let start = $0.baseAddress { (frame + offset).copyMemory(from: start, byteCount: $0.count) }
      }
    }
    copy(hostile.options, to: 54)
    let payload = hostile.isTCP ? 54 + hostile.options.count : 42
    copy(hostile.payload, to: payload)
    if hostile.variation == .index { put(UInt32(truncatingIfNeeded: random()), payload + 4) }
  }
}

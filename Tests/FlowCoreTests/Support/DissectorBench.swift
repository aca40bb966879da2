// Dissects single frames that end exactly before a page which nothing may touch, so that a read past the end of what was
// captured stops the tests.
import Glibc
import Wire

@testable import FlowCore

/// Memory that ends at a forbidden page.
final class GuardedMemory {
  private let start: UnsafeMutableRawPointer
  private let length = 1 << 17
  private let page = Int(getpagesize())

  init() {
    start = mmap(nil, length + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    precondition(start != MAP_FAILED && mprotect(start + length, page, PROT_NONE) == 0)
  }

  deinit { munmap(start, length + page) }

  /// Copies `bytes` to the memory's end.
  func place(_ bytes: some Collection<UInt8>) -> UnsafeRawPointer {
    precondition(bytes.count <= length)
    let first = start + (length - bytes.count)
    for (offset, byte) in bytes.enumerated() {
      first.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
    }
    return UnsafeRawPointer(first)
  }
}

/// What dissecting made of a frame, copied out of it.
struct Dissected: Equatable {
  var source: [UInt8]
  var destination: [UInt8]
  var sourcePort: UInt16
  var destinationPort: UInt16
  var protocolNumber: UInt8
  var vlan: UInt16
  var octets: Int
  var timeToLive: UInt8
  var fragmentFlags: UInt8
  var tcpFlags: UInt8
  var mplsEntry: UInt32
  var sourceMAC: UInt64
  var destinationMAC: UInt64
  var transportHeader: [UInt8]
  var payload: [UInt8]
  var payloadLength: Int
  var hash: UInt64
  /// Kind and identifier of each tunnel that is part of the key, the outermost first.
  var tunnels: [TunnelLevel] = []
}

/// A dissector that is fed frame by frame.
final class DissectorBench {
  enum Outcome: Equatable {
    case packet(Dissected)
    case discarded(DiscardReason)
  }

  private var dissector: Dissector
  private let memory = GuardedMemory()

  init(_ linkType: LinkType = .ethernet, fragmentSets: Int = 64, tunnels: TunnelSettings = .usual) {
    dissector = Dissector(
      hashing: FlowHash(seed: 1), fragments: FragmentTable(sets: fragmentSets), tunnels: tunnels)
    dissector.linkType = linkType
  }

  /// Packets that may be tunnels and were not opened, and those in too many.
  var refused: (unopened: UInt64, tooDeep: UInt64) { (dissector.tunnelsUnopened, dissector.tunnelsTooDeep) }

  /// Dissects `frame`, of which only `captured` bytes were captured, received at `time`.
  func dissect(_ frame: [UInt8], captured: Int? = nil, time: UInt64 = 1_700_000_000_000_000_000) -> Outcome {
    let bytes = frame.prefix(captured ?? frame.count)
    let input = Frame(
      bytes: memory.place(bytes), captured: UInt32(bytes.count), wire: UInt32(frame.count))
    return withUnsafeTemporaryAllocation(of: Packet.self, capacity: 1) { packets in
      // As in the engine: the packet still holds what an earlier one left.
      UnsafeMutableRawBufferPointer(packets).initializeMemory(as: UInt8.self, repeating: 0xEE)
      // The engine notes its clock before it dissects: fragments age by it.
      packets[0].clock = time
      if let reason = dissector.dissect(
        input, time: time, isEthernet: dissector.linkType == .ethernet, into: &packets[0])
      {
        return .discarded(reason)
      }
      return .packet(Dissected(packets[0]))
    }
  }
}

extension Dissected {
  fileprivate init(_ packet: Packet) {
    func array(_ bytes: Bytes) -> [UInt8] { (0..<bytes.count).map { bytes[$0] } }
    let frame = Bytes(packet.frame, count: Int(packet.captured))
    let addresses = packet.key.isVersion6 ? (8, 16) : (12, 4)
    let network = Int(packet.networkOffset)
    source = array(frame.slice(network + addresses.0, addresses.1))
    destination = array(frame.slice(network + addresses.0 + addresses.1, addresses.1))
    sourcePort = packet.key.sourcePort
    destinationPort = packet.key.destinationPort
    protocolNumber = packet.key.protocolNumber
    vlan = packet.key.vlan
    octets = Int(packet.octets)
    timeToLive = packet.timeToLive
    fragmentFlags = packet.fragmentFlags
    tcpFlags = packet.tcpFlags
    mplsEntry = packet.mplsEntry
    var record = FlowRecord(key: packet.key)
    withUnsafePointer(to: packet) { packet in
      withUnsafeMutablePointer(to: &record) { $0.noteAddresses(packet, worker: 0, port: 0) }
    }
    sourceMAC = record.sourceMAC
    destinationMAC = record.destinationMAC
    transportHeader = array(
      withUnsafePointer(to: packet) { PacketView(packet: $0, isForward: true).transportHeader })
    payload = array(packet.payload)
    payloadLength = Int(packet.payloadLength)
    hash = packet.hash
    if packet.key.isTunnelled { tunnels = (0..<Int(packet.tunnelCount)).map { packet.tunnels[$0] } }
    // What plugins and records rely on.
    precondition(payload.count <= payloadLength)
    precondition(packet.transportOffset <= packet.payloadOffset && packet.payloadOffset <= packet.captured)
    precondition(packet.key.addresses == record.key.addresses && packet.key.rest & 0xFF == 0)
  }
}

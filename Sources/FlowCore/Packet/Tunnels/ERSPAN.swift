// Encapsulated remote SPAN: a switch's mirror port inside of GRE.
import Wire

/// Reads ERSPAN's headers (draft-foschiano-erspan-03 section 4). Type I has none: GRE without a sequence number, then the frame.
///
///     II    | version 4 = 1 | VLAN 12 | class 3, encapsulation 2, truncated 1, session 10 | reserved 12, index 20 |
///     III   | version 4 = 2 | VLAN 12 | class 3, BSO 2, truncated 1, session 10 | timestamp 32 |
///           | group tag 16 | P 1, frame type 5, hardware 6, D 1, granularity 2, O 1 | [platform 8 bytes, if O]
enum ERSPAN {
  /// The frame behind a GRE header of `type`.
  static func open(_ bytes: Bytes, type: UInt16, hasSequence: Bool) -> OpenedTunnel? {
    if type == EtherType.erspan, !hasSequence {
      return OpenedTunnel(kind: .erspan, identifier: nil, layer: .ethernet, offset: 0)
    }
    guard bytes.count >= 12 else { return nil }
    let session = UInt32(bytes.load(UInt16.self, at: 2) & 0x3FF)
    switch bytes[0] >> 4 {
    case 1 where type == EtherType.erspan:
      return OpenedTunnel(kind: .erspan, identifier: session, layer: .ethernet, offset: 8)
    case 2 where type == EtherType.erspan3:
      let flags = bytes.load(UInt16.self, at: 10)
      let offset = flags & 1 != 0 ? 20 : 12
      switch flags >> 10 & 0x1F {
      case 0: return OpenedTunnel(kind: .erspan, identifier: session, layer: .ethernet, offset: offset)
      case 2: return OpenedTunnel(kind: .erspan, identifier: session, layer: .ip, offset: offset)
      default: return nil
      }
    default: return nil
    }
  }
}

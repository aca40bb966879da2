// Every frame that is not the common case: link layers, VLAN tags, MPLS, PPPoE, TRILL, GRE inside IPv4.
// Each loop turn opens one header; the turns are counted, so that a frame cannot keep the worker busy.
import Wire

extension Dissector {
  /// What the next header is.
  private enum Layer {
    case ethernet
    case etherType(UInt16)
    case mpls
    case pppoe
    case ppp
    case trill
    case ip
    case ipv4
    case ipv6
  }

  /// Opens the headers of `frame` one by one until the innermost IP packet.
  @inline(never)
  mutating func dissectLayers(_ frame: Frame, into packet: inout Packet) -> DiscardReason? {
    let bytes = Bytes(frame.bytes, count: Int(frame.captured))
    var cursor = Cursor(bytes)
    var vlan: UInt16?
    packet.macAddresses = .none
    packet.linkOffset = 0
    do throws(Truncated) {
      var layer = try openLink(&cursor, into: &packet)
      for _ in 0..<Dissector.maximumHeaders {
        switch layer {
        case .ethernet:
          //  | destination 6 | source 6 | EtherType 2 |
          packet.macAddresses = .ethernet
          packet.linkOffset = UInt32(truncatingIfNeeded: cursor.position)
          try cursor.skip(12)
          layer = .etherType(try cursor.unsigned16())
        case .etherType(let type):
          switch type {
          case EtherType.ipv4: layer = .ipv4
          case EtherType.ipv6: layer = .ipv6
          case EtherType.vlan, EtherType.providerVLAN, EtherType.oldProviderVLAN:
            //  | priority 3, DEI 1, VLAN id 12 | EtherType 2 |: the outermost id is the packet's
            let tag = try cursor.unsigned16()
            vlan = vlan ?? tag & 0xFFF
            layer = .etherType(try cursor.unsigned16())
          case EtherType.mpls, EtherType.mplsUpstream: layer = .mpls
          case EtherType.pppoeSession: layer = .pppoe
          case EtherType.trill: layer = .trill
          default: return .notIP
          }
        case .mpls:
          guard let inner = try openLabels(&cursor, into: &packet) else { return .notIP }
          layer = inner
        case .pppoe:
          //  | version 4, type 4 | code 8 | session 16 | length 16 |: code 0 is session data
          let versionAndCode = try cursor.unsigned16()
          guard versionAndCode & 0xFF == 0 else { return .notIP }
          try cursor.skip(4)
          layer = .ppp
        case .ppp:
          switch try cursor.unsigned16() {
          case PPPProtocol.ipv4: layer = .ipv4
          case PPPProtocol.ipv6: layer = .ipv6
          case PPPProtocol.mpls, PPPProtocol.mplsMulticast: layer = .mpls
          default: return .notIP
          }
        case .trill:
          //  | version 2, reserved 2, multi-destination 1, options length 5, hops 6 | egress 16 | ingress 16 |
          let first = try cursor.unsigned16()
          try cursor.skip(4 &+ 4 &* Int(first >> 6 & 0x1F))
          vlan = nil
          layer = .ethernet
        case .ip:
          guard cursor.remaining > 0 else { try Truncated.fail() }
          switch bytes[cursor.position] >> 4 {
          case 4: layer = .ipv4
          case 6: layer = .ipv6
          default: return .notIP
          }
        case .ipv4:
          if let inner = greLayer(bytes, at: cursor.position) {
            cursor = Cursor(bytes)
            try cursor.skip(inner.offset)
            layer = .etherType(inner.type)
            continue
          }
          return dissectIPv4(bytes, at: cursor.position, vlan: vlan ?? 0, into: &packet)
        case .ipv6:
          return dissectIPv6(bytes, at: cursor.position, vlan: vlan ?? 0, into: &packet)
        }
      }
      return .tooManyHeaders
    } catch {
      return .linkTruncated
    }
  }

  /// Opens the header that the link type begins with.
  private func openLink(_ cursor: inout Cursor, into packet: inout Packet) throws(Truncated) -> Layer {
    switch linkType {
    case .ethernet:
      return .ethernet
    case .linuxCooked:
      //  | packet type 2 | ARPHRD 2 | address length 2 | address 8 | protocol 2 |
      try cursor.skip(2)
      let hardware = try cursor.unsigned16()
      try cursor.skip(2)
      noteSource(hardware, at: cursor, into: &packet)
      try cursor.skip(8)
      return .etherType(try cursor.unsigned16())
    case .linuxCooked2:
      //  | protocol 2 | reserved 2 | interface 4 | ARPHRD 2 | packet type 1 | address length 1 | address 8 |
      let type = try cursor.unsigned16()
      try cursor.skip(6)
      let hardware = try cursor.unsigned16()
      try cursor.skip(2)
      noteSource(hardware, at: cursor, into: &packet)
      try cursor.skip(8)
      return .etherType(type)
    case .rawIP:
      return .ip
    case .loopback:
      // The address family's number differs by system, and its byte order by machine; the IP version tells.
      try cursor.skip(4)
      return .ip
    case .ppp:
      var ahead = cursor
      if try ahead.unsigned16() == 0xFF03 { cursor = ahead }
      return .ppp
    case .pppoe:
      return .pppoe
    }
  }

  /// In a cooked capture the source address is an Ethernet address only for ARPHRD_ETHER.
  private func noteSource(_ hardware: UInt16, at cursor: Cursor, into packet: inout Packet) {
    guard hardware == 1 else { return }
    packet.macAddresses = .sourceOnly
    packet.linkOffset = UInt32(truncatingIfNeeded: cursor.position)
  }

  /// Skips the label stack (RFC 3032) and returns what lies below it, or nil where that is unknown.
  ///
  ///     | label 20 | traffic class 3 | bottom 1 | TTL 8 |
  private func openLabels(_ cursor: inout Cursor, into packet: inout Packet) throws(Truncated) -> Layer? {
    var entry = try cursor.unsigned32()
    if packet.mplsEntry == 0 { packet.mplsEntry = entry }
    var depth = 1
    while entry & 0x100 == 0 {
      guard depth < Dissector.maximumHeaders else { return nil }
      entry = try cursor.unsigned32()
      depth &+= 1
    }
    var ahead = cursor
    switch try ahead.unsigned8() >> 4 {
    case 4: return .ipv4
    case 6: return .ipv6
    case 0:
      // A pseudo-wire's control word (RFC 4385), then the frame that it carries.
      try cursor.skip(4)
      return .ethernet
    default: return nil
    }
  }

  /// Looks whether the IPv4 packet at `start` is GRE (RFC 2784, RFC 2890) around something that is opened; nil leaves
  /// it an ordinary flow of protocol 47.
  ///
  ///     | checksum 1, routing 1, key 1, sequence 1, … 9, version 3 | type 16 | [checksum 4] [key 4] [sequence 4]
  private func greLayer(_ bytes: Bytes, at start: Int) -> (type: UInt16, offset: Int)? {
    guard bytes.count &- start >= 20, bytes[start &+ 9] == IPProtocol.gre, bytes[start] >> 4 == 4
    else { return nil }
    let headerLength = Int(bytes[start] & 0xF) &* 4
    guard headerLength >= 20, bytes.load(UInt16.self, at: start &+ 6) & 0x3FFF == 0 else { return nil }
    let header = start &+ headerLength
    guard bytes.count &- header >= 4 else { return nil }
    let flags = bytes.load(UInt16.self, at: header)
    let type = bytes.load(UInt16.self, at: header &+ 2)
    // Version 1 is PPTP's; the routing bit is RFC 1701's source routes, which nothing sends any more.
    guard flags & 0x4007 == 0 else { return nil }
    switch type {
    case EtherType.ipv4, EtherType.ipv6, EtherType.mpls, EtherType.mplsUpstream, EtherType.pppoeSession: break
    default: return nil
    }
    let words = (flags >> 15) &+ (flags >> 13 & 1) &+ (flags >> 12 & 1)
    let offset = header &+ 4 &+ 4 &* Int(words)
    guard offset < bytes.count else { return nil }
    return (type, offset)
  }
}

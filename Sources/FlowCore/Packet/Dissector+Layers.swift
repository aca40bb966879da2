// Every frame that is not the common case: link layers, VLAN tags, label stacks, and packets inside of others.
// Each loop turn opens one header; the turns are counted, so that a frame cannot keep the worker busy.
import Wire

extension Dissector {
  /// Opens the headers of `frame` one by one until the IP packet that makes the flow: the innermost one, or the outermost where
  /// `isOutside`.
  @inline(never)
  mutating func dissectLayers(_ frame: Frame, into packet: inout Packet, isOutside: Bool)
    -> DiscardReason?
  {
    var way = Way(isOutside: isOutside)
    guard let reason = openLayers(frame, &way, into: &packet) else {
      if way.hasOpenedFragment, tunnels.records == .inner { fragmentCount &+= 1 }
      if packet.tunnelCount != 0, isOutside == tunnels.isOutside { tunnelled &+= 1 }
      return nil
    }
    guard let carrier = way.carrier, reason.isAboveTransport else { return reason }
    // What the last IP packet carries is none itself: then that one makes the flow. Once more from the start, up to there.
    tunnelsUnopened &+= 1
    var again = Way(isOutside: isOutside, closed: carrier)
    let other = openLayers(frame, &again, into: &packet)
    if other == nil, packet.tunnelCount != 0, isOutside == tunnels.isOutside { tunnelled &+= 1 }
    return other
  }

  /// How far headers are opened, and what was met on the way.
  private struct Way: BitwiseCopyable {
    /// The flow is the outermost IP packet's.
    var isOutside: Bool
    /// An IP packet that is in as many tunnels is not opened.
    var closed: UInt8 = .max
    /// In how many tunnels the last IP packet is that was opened; nil where none was, or where nothing is opened twice.
    var carrier: UInt8?
    /// The first fragment of an IP packet was opened.
    var hasOpenedFragment = false
  }

  /// Opens the headers one by one.
  private mutating func openLayers(_ frame: Frame, _ way: inout Way, into packet: inout Packet)
    -> DiscardReason?
  {
    var bytes = Bytes(frame.bytes, count: Int(frame.captured))
    var cursor = Cursor(bytes)
    var vlan: UInt16?
    packet.macAddresses = .none
    packet.linkOffset = 0
    packet.mplsEntry = 0
    packet.tunnelCount = 0
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
          case EtherType.providerBackbone: layer = .providerBackbone
          default: return .notIP
          }
        case .mpls:
          guard let inner = try openLabels(&cursor, bytes, into: &packet) else { return .notIP }
          if case .ethernet = inner, tunnels.areKeys { vlan = nil }
          layer = inner
        case .pppoe:
          //  | version 4 = 1, type 4 = 1 | code 8 | session 16 | length 16 |: code 0 is session data
          guard try cursor.unsigned16() == 0x1100, tunnels.kinds.has(.pppoe) else { return .notIP }
          let session = UInt32(try cursor.unsigned16())
          guard enter(.pppoe, session, &packet) else { return .tooManyHeaders }
          try cursor.skip(2)
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
          guard tunnels.kinds.has(.trill) else { return .notIP }
          guard enter(.trill, nil, &packet) else { return .tooManyHeaders }
          vlan = nil
          layer = .ethernet
        case .providerBackbone:
          //  | priority 3, DEI 1, UCA 1, reserved 3 | I-SID 24 | the customer's frame
          let tag = try cursor.unsigned32()
          guard tunnels.kinds.has(.providerBackbone) else { return .notIP }
          guard enter(.providerBackbone, tag & 0xFF_FFFF, &packet) else { return .tooManyHeaders }
          vlan = nil
          layer = .ethernet
        case .ip:
          guard cursor.remaining > 0 else { try Truncated.fail() }
          switch bytes[cursor.position] >> 4 {
          case 4: layer = .ipv4
          case 6: layer = .ipv6
          default: return .notIP
          }
        case .ipv4, .ipv6:
          var isVersion6 = false
          if case .ipv6 = layer { isVersion6 = true }
          let start = cursor.position
          if packet.tunnelCount != way.closed, mayCarry(bytes, at: start, isVersion6: isVersion6) {
            switch openCarrier(bytes, at: start, isVersion6: isVersion6, vlan: vlan ?? 0, &packet) {
            case .plain: break
            case .laterFragment(let level):
              guard !way.isOutside else {
                // Of the flow that its first fragment made.
                _ = enter(level, &packet)
                break
              }
              if tunnels.records == .inner { fragmentCount &+= 1 }
              return .tunnelFragment
            case .carrier(let opened, let end, let isFragment):
              let depth = packet.tunnelCount
              guard enter(opened.kind, opened.identifier, &packet), !way.isOutside else { break }
              noteCarrier(bytes, at: start, isVersion6: isVersion6, into: &packet)
              if isFragment, tunnels.records == .both, way.carrier == nil {
                noteOutside(bytes, at: start, isVersion6: isVersion6, vlan: vlan ?? 0, packet)
              }
              if tunnels.areKeys {
                way.carrier = depth
                way.hasOpenedFragment = way.hasOpenedFragment || isFragment
                bytes = bytes.prefix(end)
                if case .ethernet = opened.layer { vlan = nil }
              }
              cursor = Cursor(bytes)
              try cursor.skip(opened.offset)
              layer = opened.layer
              continue
            }
          }
          return isVersion6
            ? dissectIPv6(bytes, at: start, vlan: vlan ?? 0, into: &packet)
            : dissectIPv4(bytes, at: start, vlan: vlan ?? 0, into: &packet)
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

  /// Skips the label stack (RFC 3032) and returns what lies below it, or nil where that is unknown or not opened.
  ///
  ///     | label 20 | traffic class 3 | bottom 1 | TTL 8 |
  private mutating func openLabels(_ cursor: inout Cursor, _ bytes: Bytes, into packet: inout Packet)
    throws(Truncated) -> Layer?
  {
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
    default: break
    }
    guard tunnels.kinds.has(.mpls),
      let frame = PseudoWire.frame(bytes.dropFirst(cursor.position), guesses: tunnels.areKeys),
      enter(.mpls, entry >> 12, &packet)
    else { return nil }
    try cursor.skip(frame)
    return .ethernet
  }
}

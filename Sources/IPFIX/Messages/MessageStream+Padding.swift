// Messages of equal length: what fills the room that the next record did not fit into.

extension FieldSpecifier {
  /// paddingOctets (IANA 210), of variable length.
  static var paddingOctets: FieldSpecifier { FieldSpecifier(identifier: 210, length: variableLength) }
}

extension TemplateField {
  /// paddingOctets (IANA 210), of variable length.
  static var padding: TemplateField {
    TemplateField(
      element: InformationElement(.iana, 210, "paddingOctets", .octetArray),
      length: FieldSpecifier.variableLength, isList: false)
  }
}

extension MessageStream {
  /// Fills the open message, whose sets are closed, up to its usual length with octets of its last data set.
  ///
  /// A message that would be padding for the most part stays short: then octets cost more than a datagram.
  mutating func pad() {
    guard configuration.padsMessages, closedSet != 0 else { return }
    let template = Int(load16(closedSet)) &- Self.firstTemplate
    let missing = messageStart &+ configuration.maximumLength &- position
    guard template >= 0, missing > 0, missing <= configuration.maximumLength / 2 else { return }
    let place = templates[template]
    // pmacct and nfcapd divide a set of options by the length of a record.
    guard place.scopeCount == 0, place.hasField || missing < place.shortestRecord else { return }
    memory.fill(0, from: position, count: missing)
    if place.hasField { setPaddingLength(missing) }
    position &+= missing
    store16(UInt16(clamping: position &- closedSet), at: closedSet &+ 2)
  }

  /// Makes the empty paddingOctets before `position` take `missing` octets more: a length of one octet and as many zeros,
  /// or one of three octets (RFC 7011 section 7) and two zeros fewer.
  private mutating func setPaddingLength(_ missing: Int) {
    if missing < 255 {
      memory.store(UInt8(truncatingIfNeeded: missing), at: position &- 1)
    } else {
      memory.store(255 as UInt8, at: position &- 1)
      store16(UInt16(clamping: missing &- 2), at: position)
    }
  }
}

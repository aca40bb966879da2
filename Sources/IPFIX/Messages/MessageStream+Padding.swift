// Messages of equal length: what fills the room that the next record did not fit into.

extension FieldSpecifier {
  /// paddingOctets (IANA 210), of variable length.
  static var paddingOctets: FieldSpecifier { FieldSpecifier(identifier: 210, length: variableLength) }
}

extension MessageStream {
  /// How the sets of a template are padded.
  struct Padding: BitwiseCopyable {
    /// Its records end in paddingOctets.
    var hasField: Bool
    /// Zeros behind the last record must be fewer than this, or they would be a record.
    var shortestRecord: Int
  }

  /// Fills the open message, whose sets are closed, up to its usual length with octets of its last data set.
  ///
  /// A message that would be padding for the most part stays short: then octets cost more than a datagram.
  mutating func pad() {
    guard configuration.padsMessages, closedSet != 0 else { return }
    let template = Int(load16(closedSet)) - Self.firstTemplate
    let missing = messageStart + configuration.maximumLength - position
    guard template >= 0, missing > 0, missing <= configuration.maximumLength / 2 else { return }
    let padding = paddings[template]
    guard padding.hasField || missing < padding.shortestRecord else { return }
    (memory + position).initializeMemory(as: UInt8.self, repeating: 0, count: missing)
    if padding.hasField { setPaddingLength(missing) }
    position += missing
    store16(UInt16(position - closedSet), at: closedSet + 2)
  }

  /// Makes the empty paddingOctets before `position` take `missing` octets more: a length of one octet and as many zeros,
  /// or one of three octets (RFC 7011 section 7) and two zeros fewer.
  private func setPaddingLength(_ missing: Int) {
    if missing < 255 {
      memory.storeBytes(of: UInt8(missing), toByteOffset: position - 1, as: UInt8.self)
    } else {
      memory.storeBytes(of: 255, toByteOffset: position - 1, as: UInt8.self)
      store16(UInt16(missing - 2), at: position)
    }
  }
}

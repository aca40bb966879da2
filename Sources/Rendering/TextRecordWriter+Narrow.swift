// The table in 120 columns: what most terminals and mails show without breaking lines. Counters are rounded, long addresses
// lose their middle, and the plugins' fields follow on lines of their own.
import IPFIX
import Wire

extension TextRecordWriter {
  /// Columns of the narrow table.
  private static var columns: Int { 120 }
  /// Columns of an endpoint.
  private static var endpoint: Int { 21 }
  /// What lines of plugins' fields begin with.
  private static var indent: Int { 4 }

  /// The narrow table's heading.
  mutating func appendNarrowHeading() {
    output.append(
      "start (UTC)        duration  proto                source → destination            pkts→     ←")
    output.append(" bytes→     ←  end\n")
  }

  /// Writes the record's line, and those of its plugins' fields.
  mutating func endNarrow() {
    appendStart()
    let duration = basic.end >= basic.start ? basic.end &- basic.start : 0
    right(9) {
      $0.appendDecimal(duration / 1_000_000_000)
      $0.append(UInt8(ascii: "."))
      $0.appendDecimal(duration % 1_000_000_000 / 1_000_000, width: 3)
    }
    output.append("  ")
    let (protocolIdentifier, version) = (basic.protocolIdentifier, basic.version)
    left(6) { $0.append(protocolName: protocolIdentifier) }
    appendEndpoint(basic.source, port: basic.sourcePort, version: version, isLeft: false)
    output.append(" → ")
    appendEndpoint(basic.destination, port: basic.destinationPort, version: version, isLeft: true)
    let (packets, octets) = (basic.packets, basic.octets)
    right(7) { $0.append(scaled: packets.forward) }
    right(6) { $0.append(scaled: packets.reverse) }
    right(7) { $0.append(scaled: octets.forward) }
    right(6) { $0.append(scaled: octets.reverse) }
    output.append("  ")
    let start = output.count
    output.append(endReason: basic.endReason)
    // The longest reason, which is rare, loses its end.
    output.truncate(to: min(output.count, start &+ 8))
    output.append(UInt8(ascii: "\n"))
    appendFields()
  }

  /// `10-20 07:09:33.611`: the year and what is less than a millisecond are in the other outputs.
  private mutating func appendStart() {
    let start = extra.count
    extra.appendDate(basic.start)
    output.append(extra.contents.dropFirst(start &+ 5))
    extra.truncate(to: start)
    output.append(UInt8(ascii: " "))
    extra.appendTimeOfDay(basic.start)
    output.append(extra.contents.slice(start, 12))
    extra.truncate(to: start)
  }

  /// An address and port in their columns; a long IPv6 address without its middle.
  private mutating func appendEndpoint(
    _ address: (high: UInt64, low: UInt64), port: UInt64, version: UInt8, isLeft: Bool
  ) {
    let start = extra.count
    extra.append(endpoint: address, port: port, version: version)
    let length = extra.count &- start
    let width = Self.endpoint
    if length > width {
      // The end has the port and what tells hosts of a network apart.
      let head = width / 2 &- 1
      output.append(extra.contents.slice(start, head))
      output.append("…")
      output.append(extra.contents.dropFirst(extra.count &- (width &- head &- 1)))
    } else {
      if !isLeft { output.append(UInt8(ascii: " "), times: width &- length) }
      output.append(extra.contents.dropFirst(start))
      if isLeft { output.append(UInt8(ascii: " "), times: width &- length) }
    }
    extra.truncate(to: start)
  }

  /// The plugins' fields, as many on a line as fit; a longer one loses its end.
  private mutating func appendFields() {
    var column = 0
    var index = 0
    while index < extraStarts.count {
      // Each begins with two blanks.
      let start = extraStarts[index] &+ 2
      index &+= 1
      let end = index < extraStarts.count ? extraStarts[index] : extra.count
      let field = extra.contents.slice(start, max(end &- start, 0))
      // Octets are at least as many as columns.
      let isCut = field.count > Self.columns &- Self.indent
      let shown = isCut ? field.prefix(Self.characters(field, Self.columns &- Self.indent &- 1)) : field
      let width = shown.count &+ (isCut ? 1 : 0)
      if column > 0, column &+ 2 &+ width <= Self.columns {
        output.append("  ")
        column &+= 2 &+ width
      } else {
        if column > 0 { output.append(UInt8(ascii: "\n")) }
        output.append(UInt8(ascii: " "), times: Self.indent)
        column = Self.indent &+ width
      }
      output.append(shown)
      if isCut { output.append("…") }
    }
    if column > 0 { output.append(UInt8(ascii: "\n")) }
  }

  /// As many octets of valid UTF-8, at most `limit`, as end with a character.
  private static func characters(_ text: Bytes, _ limit: Int) -> Int {
    var length = max(min(limit, text.count), 0)
    // What follows must not be the rest of a character, which has at most three.
    var steps = 0
    while length > 0, length < text.count, text[length] & 0xC0 == 0x80, steps < 3 {
      length &-= 1
      steps &+= 1
    }
    return length
  }
}

extension OutputBuffer {
  /// A number in at most five columns: `98765`, `123K`, `4567M`, with powers of 1000, rounded down.
  mutating func append(scaled value: UInt64) {
    guard value >= 100_000 else { return appendDecimal(value) }
    let units: StaticString = "KMGTPE"
    var rest = value / 1000
    var unit = 0
    while rest >= 10_000, unit < 5 {
      rest /= 1000
      unit &+= 1
    }
    appendDecimal(rest)
    append(units.utf8Start[unit])
  }
}

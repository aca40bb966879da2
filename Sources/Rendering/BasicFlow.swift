// What the text table shows in columns. A record writes its fields in its own order, so they are gathered first.
import IPFIX

/// What the columns show, gathered while the record writes its fields in its own order.
struct BasicFlow {
  var seen: UInt32 = 0
  var start: UInt64 = 0
  var end: UInt64 = 0
  var version: UInt8 = 4
  var protocolIdentifier: UInt8 = 0
  var source: (high: UInt64, low: UInt64) = (0, 0)
  var destination: (high: UInt64, low: UInt64) = (0, 0)
  var sourcePort: UInt64 = 0
  var destinationPort: UInt64 = 0
  var packets: (forward: UInt64, reverse: UInt64) = (0, 0)
  var octets: (forward: UInt64, reverse: UInt64) = (0, 0)
  var flags: (forward: UInt8, reverse: UInt8) = (0, 0)
  var endReason: UInt8 = 0

  /// True the first time: a plugin may repeat an element, and its value then belongs to the plugin's fields.
  mutating func isNew(_ bit: UInt32) -> Bool {
    defer { seen |= 1 &<< bit }
    return seen & (1 &<< bit) == 0
  }

  /// Keeps a number if a column shows it, or if it says nothing to a reader (version, interface).
  mutating func take(_ element: InformationElement, _ value: UInt64) -> Bool {
    guard element.owner == .iana else { return false }
    switch (element.identifier, element.isReverse) {
    case (136, false) where isNew(0): endReason = UInt8(truncatingIfNeeded: value)
    case (1, false) where isNew(1): octets.forward = value
    case (1, true) where isNew(2): octets.reverse = value
    case (2, false) where isNew(3): packets.forward = value
    case (2, true) where isNew(4): packets.reverse = value
    case (60, false) where isNew(5): version = UInt8(truncatingIfNeeded: value)
    case (4, false) where isNew(6): protocolIdentifier = UInt8(truncatingIfNeeded: value)
    case (6, false) where isNew(7): flags.forward = UInt8(truncatingIfNeeded: value)
    case (6, true) where isNew(8): flags.reverse = UInt8(truncatingIfNeeded: value)
    case (7, false) where isNew(9): sourcePort = value
    case (11, false) where isNew(10): destinationPort = value
    case (10, false) where isNew(11): break
    default: return false
    }
    return true
  }

  mutating func take(_ element: InformationElement, time: UInt64) -> Bool {
    guard element.owner == .iana else { return false }
    switch element.identifier {
    case 150, 152, 154, 156: if isNew(12) { start = time } else { return false }
    case 151, 153, 155, 157: if isNew(13) { end = time } else { return false }
    default: return false
    }
    return true
  }

  mutating func take(_ element: InformationElement, address: (high: UInt64, low: UInt64)) -> Bool {
    guard element.owner == .iana else { return false }
    switch element.identifier {
    case 8, 27: if isNew(14) { source = address } else { return false }
    case 12, 28: if isNew(15) { destination = address } else { return false }
    default: return false
    }
    return true
  }
}

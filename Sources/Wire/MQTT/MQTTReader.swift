// The control packets of MQTT in one direction of a connection: 3.1 (IBM and Eurotech, 2010), 3.1.1 and 5 (OASIS).

/// What a CONNECT packet asks for.
package struct MQTTConnect: BitwiseCopyable {
  /// 3 for version 3.1, 4 for 3.1.1, 5 for 5.
  package var level: UInt8
  /// User name, password, will retained, will's quality of service 2, will, clean session, reserved: from bit 7 on.
  package var flags: UInt8
  /// Seconds.
  package var keepAlive: UInt16
}

/// What is next in a direction's bytes.
package enum MQTTEvent: BitwiseCopyable {
  case connect(MQTTConnect)
  case connectAcknowledgement(hasSession: Bool, code: UInt8)
  /// Flags: retained, quality of service 2, duplicate: from bit 0 on. The topic as far as it was wanted.
  case publish(flags: UInt8, topic: Bytes)
  case other(type: UInt8)
  /// All bytes were read.
  case end
  /// More bytes are needed to know.
  case incomplete
  /// This is no MQTT.
  case invalid
}

/// The numbers of control packets (MQTT 5 section 2.1.2).
package enum MQTTType {
  package static let connect: UInt8 = 1
  package static let connectAcknowledgement: UInt8 = 2
  package static let publish: UInt8 = 3
  package static let disconnect: UInt8 = 14
  package static let authentication: UInt8 = 15
}

/// Walks through control packets, whatever the segments in which they come.
///
///     packet    | type 4, flags 4 | remaining length 1–4 | remaining length bytes … |
///     CONNECT   | length 2 | "MQTT", or "MQIsdp" of version 3.1 | level 1 | flags 1 | keep alive 2 | …
///     CONNACK   | session present 1 | code 1 | …
///     PUBLISH   | length 2 | topic | …
package struct MQTTReader: BitwiseCopyable {
  /// Bytes of the packet under way that nobody wants.
  private var toSkip: UInt32 = 0
  /// A packet was read.
  package private(set) var hasBegun = false
  /// The bytes do not make sense any more, or some are missing.
  package var isLost = false

  package init() {}

  /// Whether bytes may begin with a CONNECT packet: what is there of them fits.
  @inline(__always)
  package static func mayBegin(_ bytes: Bytes) -> Bool {
    bytes.count > 0 && bytes[0] == MQTTType.connect << 4
  }

  /// Reads on at `position`, which is at a packet's start or within one, and moves it behind what was read. Each call that
  /// does not end the walk takes at least one byte.
  /// - Parameter wanted: How much of a PUBLISH packet's topic is waited for.
  package mutating func next(_ bytes: Bytes, at position: inout Int, wanted: Int) -> MQTTEvent {
    if toSkip > 0 {
      let skipped = min(Int(toSkip), max(0, bytes.count &- position))
      toSkip &-= UInt32(truncatingIfNeeded: skipped)
      position &+= skipped
    }
    let rest = bytes.dropFirst(position)
    guard !rest.isEmpty else { return .end }
    let type = rest[0] >> 4
    guard type != 0 else { return .invalid }
    // The remaining length: seven bits in each byte, the lowest first; the top bit says that another one follows.
    var length = 0
    var index = 1
    var goesOn = true
    while goesOn {
      guard index <= 4 else { return .invalid }
      guard index < rest.count else { return .incomplete }
      length |= Int(rest[index] & 0x7F) &<< (7 &* (index &- 1))
      goesOn = rest[index] & 0x80 != 0
      index &+= 1
    }
    let body = rest.dropFirst(index).prefix(length)
    guard let (event, read) = Self.event(type, flags: rest[0] & 0x0F, body, length: length, wanted: wanted)
    else { return .invalid }
    if case .incomplete = event { return event }
    hasBegun = true
    position &+= index &+ read
    toSkip = UInt32(clamping: length &- read)
    return event
  }

  /// What a packet is, and how much of its body, of which there may be less than its length yet, was read.
  private static func event(_ type: UInt8, flags: UInt8, _ body: Bytes, length: Int, wanted: Int) -> (
    MQTTEvent, read: Int
  )? {
    switch type {
    case MQTTType.connect: return connect(body, length: length)
    case MQTTType.connectAcknowledgement:
      guard length >= 2 else { return nil }
      guard body.count >= 2 else { return (.incomplete, 0) }
      return (.connectAcknowledgement(hasSession: body[0] & 1 != 0, code: body[1]), 2)
    case MQTTType.publish:
      guard length >= 2 else { return nil }
      guard body.count >= 2 else { return (.incomplete, 0) }
      let topicLength = Int(body.load(UInt16.self, at: 0))
      guard topicLength &+ 2 <= length else { return nil }
      let read = min(topicLength, max(0, wanted))
      guard body.count &- 2 >= read else { return (.incomplete, 0) }
      return (.publish(flags: flags, topic: body.slice(2, read)), 2 &+ read)
    default: return (.other(type: type), 0)
    }
  }

  private static func connect(_ body: Bytes, length: Int) -> (MQTTEvent, read: Int)? {
    guard length >= 10 else { return nil }
    guard body.count >= 2 else { return (.incomplete, 0) }
    let nameLength = Int(body.load(UInt16.self, at: 0))
    guard nameLength == 4 || nameLength == 6, length >= nameLength &+ 6 else { return nil }
    guard body.count >= nameLength &+ 6 else { return (.incomplete, 0) }
    let name = body.slice(2, nameLength)
    // Servers that are joined by a bridge set the level's top bit.
    let level = body[2 &+ nameLength] & 0x7F
    guard
      name.isEqual(to: Bytes("MQTT"))
        ? level == 4 || level == 5 : name.isEqual(to: Bytes("MQIsdp")) && level == 3
    else { return nil }
    let connect = MQTTConnect(
      level: level, flags: body[3 &+ nameLength], keepAlive: body.load(UInt16.self, at: 4 &+ nameLength))
    return (.connect(connect), nameLength &+ 6)
  }
}

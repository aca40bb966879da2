// Segments and datagrams of a few flows: structure that a fuzzer of plain bytes would hardly keep, because of the lengths and
// sequence numbers in real headers. The frames are built here, correct in every header.
import FlowCore

/// An input: `| shape 1 |`, then for each segment
///
///     | kind 1 | TCP flags 1 | time 1 | sequence offset 2 | length 2 | port 1 | payload |        little-endian
///
/// kind: bit 0 the direction, 1–2 the flow, 3–4 what carries it (TCP, TCP, UDP, protocol `port`), 5 IPv6, 6 time goes
/// back, 7 nothing is received before it. The sequence offset is signed and counts from the end of what the direction has
/// sent: negative ones are retransmissions and overlaps, positive ones gaps.
public enum SegmentInput {
  /// Bytes before a segment's payload, and before the first segment.
  public static let headerLength = 8
  public static let start = 1
  /// Ports of the server side.
  public static let ports: [UInt16] = [443, 25, 1194, 51820, 80, 8080, 53, 5222, 22]
  private static let longestPayload = 4095

  /// One segment.
  public struct Segment {
    public var kind: UInt8
    public var flags: UInt8
    public var time: UInt8 = 0x11
    public var offset: Int16
    public var port: UInt8
    public var payload: [UInt8]

    public init(kind: UInt8, flags: UInt8, offset: Int16, port: UInt8, payload: [UInt8]) {
      (self.kind, self.flags, self.offset, self.port, self.payload) = (kind, flags, offset, port, payload)
    }
  }

  /// The segments of an input; the last one may be short.
  public static func decode(_ input: UnsafeRawBufferPointer) -> (shape: UInt8, segments: [Segment]) {
    var reader = InputReader(input)
    let shape = reader.byte()
    var segments: [Segment] = []
    while reader.remaining >= headerLength, segments.count < 128 {
      var segment = Segment(kind: reader.byte(), flags: reader.byte(), offset: 0, port: 0, payload: [])
      segment.time = reader.byte()
      segment.offset = Int16(bitPattern: reader.word())
      let length = Int(reader.word()) & longestPayload
      segment.port = reader.byte()
      segment.payload = reader.take(length)
      segments.append(segment)
    }
    return (shape, segments)
  }

  /// The input that stands for some segments.
  public static func encode(shape: UInt8, _ segments: [Segment]) -> [UInt8] {
    var bytes = [shape]
    for segment in segments {
      let offset = UInt16(bitPattern: segment.offset)
      let length = UInt16(min(segment.payload.count, longestPayload))
      bytes += [segment.kind, segment.flags, segment.time, UInt8(offset & 0xFF), UInt8(offset >> 8)]
      bytes += [UInt8(length & 0xFF), UInt8(length >> 8), segment.port] + segment.payload.prefix(Int(length))
    }
    return bytes
  }

  static func run(_ input: UnsafeRawBufferPointer, _ harness: EngineHarness) -> String? {
    let (shape, segments) = decode(input)
    var run = harness.makeRun(shape)
    var conversation = Conversation()
    for segment in segments { conversation.send(segment, &run) }
    return run.finish()
  }

  /// What the flows of an input have sent so far.
  struct Conversation {
    private var time = FrameInput.start
    /// The next sequence number of each flow's directions, near where it wraps for odd flows.
    private var next: [UInt32] = (0..<8).map { $0 & 2 == 0 ? 1000 : 0xFFFF_FF00 }

    mutating func send(_ segment: Segment, _ run: inout EngineRun) {
      let step = withUnsafeBytes(of: segment.time) { bytes in
        var reader = InputReader(bytes)
        return reader.nanoseconds()
      }
      time = segment.kind & 0x40 == 0 ? time &+ step : time &- min(step, time)
      if segment.kind & 0x80 != 0 { run.idle(time) }
      run.add(FuzzFrame(bytes: frame(segment), time: time))
    }

    private mutating func frame(_ segment: Segment) -> [UInt8] {
      let isReverse = segment.kind & 1 != 0
      let flow = Int(segment.kind >> 1 & 3)
      let carrier = segment.kind >> 3 & 3
      let isVersion6 = segment.kind & 0x20 != 0
      let client = UInt16(40000 + flow)
      let server = SegmentInput.ports[Int(segment.port) % SegmentInput.ports.count]
      let (source, destination) = isReverse ? (server, client) : (client, server)
      var transport: [UInt8] = word(source) + word(destination)
      var number: UInt8 = 6
      switch carrier {
      case 0, 1:
        let index = flow * 2 + (isReverse ? 1 : 0)
        let sequence = next[index] &+ UInt32(bitPattern: Int32(segment.offset))
        let end =
          sequence &+ UInt32(segment.payload.count) &+ (segment.flags & 2 == 0 ? 0 : 1)
        if Int32(bitPattern: end &- next[index]) > 0 { next[index] = end }
        transport += word(UInt16(sequence >> 16)) + word(UInt16(sequence & 0xFFFF))
        transport += [0, 0, 0, 0, 0x50, segment.flags, 0x20, 0, 0, 0, 0, 0]
      case 2:
        number = 17
        transport += word(UInt16(8 + segment.payload.count)) + [0, 0]
      default:
        number = segment.port
        transport = []
      }
      let body = transport + segment.payload
      let addresses: [UInt8] = isReverse ? [2, 1] : [1, 2]
      if isVersion6 {
        let prefix: [UInt8] = [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11)
        return Self.ethernet + [0x86, 0xDD, 0x60, 0, 0, 0] + word(UInt16(body.count)) + [number, 64]
          + prefix + [addresses[0]] + prefix + [addresses[1]] + body
      }
      return Self.ethernet + [8, 0, 0x45, 0] + word(UInt16(20 + body.count)) + [
        0, 0, 0x40, 0, 64, number, 0, 0,
      ]
        + [192, 0, 2, addresses[0], 192, 0, 2, addresses[1]] + body
    }

    private static let ethernet: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]
    private func word(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }
  }
}

/// Payloads of one conversation: `| shape 1 | kind 1 | port 1 | cut 2 |`, then the client's bytes in pieces of `cut` bytes, and
/// the same bytes again as the server's. Plain, so that a dictionary and a crossover of payloads work.
enum PayloadInput {
  static func run(_ input: UnsafeRawBufferPointer, _ harness: EngineHarness) -> String? {
    var reader = InputReader(input)
    var run = harness.makeRun(reader.byte())
    let kind = reader.byte() & 0x38
    let port = reader.byte()
    let cut = max(Int(reader.word() & 0x07FF), reader.remaining / 48 + 1)
    let payload = reader.take(reader.remaining)
    var conversation = SegmentInput.Conversation()
    for direction in 0..<2 as Range<UInt8> {
      for start in stride(from: 0, to: payload.count, by: cut) {
        let piece = Array(payload[start..<min(start + cut, payload.count)])
        conversation.send(
          SegmentInput.Segment(kind: kind | direction, flags: 0x18, offset: 0, port: port, payload: piece),
          &run)
      }
    }
    return run.finish()
  }
}

// The fuzz targets: each takes any bytes, drives a part of Martlet with them, and says what is wrong. The fuzzer's driver
// and the replay in `swift test` both call them, so that a finding fails in either.

/// What can be fuzzed.
public enum FuzzTarget: String, CaseIterable, Sendable {
  /// Frames of every link type, without plugins.
  case dissector
  /// Frames of every link type with all plugins and all outputs.
  case frames
  /// TCP segments and datagrams of a few flows, with overlaps, gaps, reordering and times: all plugins, all outputs.
  case segments
  /// One conversation's payloads, cut anywhere, on one port: the parsers of payloads.
  case payload
  /// Packets of QUIC whose frames the input says, sealed with the keys that they need: what reads hellos.
  case quic
  /// What both sides of a connection of SSH say before they encrypt: its plugin alone.
  case ssh
  /// The parsers of Wire, each by itself.
  case parsers
  /// Records of any fields through the IPFIX encoder and back.
  case encoder
  /// Any bytes as IPFIX messages.
  case decoder
  /// Any bytes as a capture file, and its packets through the engine.
  case capture

  /// Runs the target on `input`; the answer says what is wrong, nil where nothing is. Traps and, under a sanitizer,
  /// reads outside of allocated memory end the process.
  public func run(_ input: UnsafeRawBufferPointer) -> String? {
    switch self {
    case .dissector: FrameInput.run(input, EngineHarness.plain)
    case .frames: FrameInput.run(input, EngineHarness.full)
    case .segments: SegmentInput.run(input, EngineHarness.full)
    case .payload: PayloadInput.run(input, EngineHarness.full)
    case .quic: QUICInput.run(input, EngineHarness.full)
    case .ssh: SSHInput.run(input, EngineHarness.ssh)
    case .parsers: ParserInput.run(input)
    case .encoder: EncoderInput.run(input)
    case .decoder: DecoderInput.run(input)
    case .capture: CaptureInput.run(input, EngineHarness.full)
    }
  }
}

extension FuzzTarget {
  /// An input from which a target has far to go by itself, for those that captures give none for.
  public var seed: [UInt8]? {
    switch self {
    case .ssh: SSHInput.seed()
    default: nil
    }
  }
}

/// Reads an input front to back; zeros follow its end.
struct InputReader {
  private let bytes: UnsafeRawBufferPointer
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// How many bytes are left.
  var remaining: Int { bytes.count - position }

  /// The next byte, 0 at the end.
  mutating func byte() -> UInt8 {
    guard position < bytes.count else { return 0 }
    position += 1
    return bytes[position - 1]
  }

  /// The next two bytes, little-endian.
  mutating func word() -> UInt16 {
    let low = UInt16(byte())
    return low | UInt16(byte()) << 8
  }

  /// The next eight bytes, little-endian.
  mutating func quad() -> UInt64 { (0..<4).reduce(0) { $0 | UInt64(word()) << UInt64(16 * $1) } }

  /// The next `count` bytes, or as many as there are.
  mutating func take(_ count: Int) -> [UInt8] {
    let taken = min(max(0, count), remaining)
    defer { position += taken }
    return Array(bytes[position..<position + taken])
  }

  /// A span of nanoseconds from one byte: 0 to 15 microseconds times a power of four, up to 4.6 days.
  mutating func nanoseconds() -> UInt64 {
    let code = byte()
    return UInt64(code & 15) * 1000 << UInt64(code >> 4) * 2
  }
}

// Seeds from captures: the inputs of each target that stand for real traffic, so that the fuzzer need not guess it.
import CaptureReader
import FlowCore
import Foundation
import FuzzTargets

/// Writes seeds into a folder for each target.
enum Seeds {
  /// Bytes of the longest seed.
  private static let longest = 4000

  static func write(to folder: String, captures: [String]) throws {
    for target in FuzzTarget.allCases {
      try FileManager.default.createDirectory(
        atPath: "\(folder)/\(target.rawValue)", withIntermediateDirectories: true)
      if let seed = target.seed {
        try Data(seed).write(to: URL(fileURLWithPath: "\(folder)/\(target.rawValue)/seed"))
      }
    }
    for path in captures {
      let name = path.split(separator: "/").suffix(2).joined(separator: "-")
      func store(_ target: FuzzTarget, _ bytes: [UInt8], _ suffix: String = "") throws {
        try Data(bytes.prefix(longest)).write(
          to: URL(fileURLWithPath: "\(folder)/\(target.rawValue)/\(name)\(suffix)"))
      }
      var linkType = LinkType.ethernet
      var frames: [[UInt8]] = []
      FuzzedCapture.read(
        path: path, prepare: { linkType = $0 },
        packet: { bytes, _, _ in
          frames.append(Array(bytes.prefix(2048)))
          return frames.count < 64
        })
      try store(.dissector, FrameInput.encode(frames, linkType: linkType))
      try store(.frames, FrameInput.encode(frames, linkType: linkType))
      if let file = FileManager.default.contents(atPath: path) { try store(.capture, Array(file)) }
      guard linkType == .ethernet else { continue }
      let segments = Conversion.segments(frames)
      guard !segments.isEmpty else { continue }
      try store(.segments, SegmentInput.encode(shape: 3, segments))
      let datagrams = segments.filter { $0.kind & 0x18 == 0x10 && !$0.payload.isEmpty }
      if datagrams.contains(where: { $0.payload[0] & 0x80 != 0 }) {
        try store(.quic, QUICInput.encode(datagrams.prefix(6).map { ($0.kind & 1 != 0, $0.payload) }))
      }
      // Short ones, too: how each flow begins. They run ten times as fast.
      for flow in 0..<4 {
        let first = segments.filter { Int($0.kind >> 1 & 3) == flow && !$0.payload.isEmpty }.prefix(4)
        if first.isEmpty { continue }
        try store(.segments, SegmentInput.encode(shape: 0, Array(first)), "-flow\(flow)")
      }
      for (index, segment) in segments.enumerated() where !segment.payload.isEmpty && index < 12 {
        try store(
          .payload, [3, segment.kind & 0x38, segment.port, 0xFF, 0x07] + segment.payload, "-\(index)")
        guard index < 4 else { continue }
        for (number, seed) in ParserInput.encode(payload: segment.payload).enumerated() {
          try store(.parsers, seed, "-\(index)-\(number)")
        }
      }
    }
    // One message: a template of protocolIdentifier, and a record. What else there is, the fuzzer finds.
    let message: [UInt8] = [
      0, 10, 0, 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 12, 1, 2, 0, 1, 0, 4, 0, 1, 1, 2, 0, 5, 6,
    ]
    try Data(message).write(to: URL(fileURLWithPath: "\(folder)/decoder/message"))
    try Data([0xB2, 5, 0] + (0..<200).map { UInt8($0) }).write(
      to: URL(fileURLWithPath: "\(folder)/encoder/bytes"))
  }
}

/// Frames to segments of at most four flows.
private enum Conversion {
  static func segments(_ frames: [[UInt8]]) -> [SegmentInput.Segment] {
    var flows: [[UInt8]] = []
    var next: [Int: UInt32] = [:]
    var segments: [SegmentInput.Segment] = []
    for frame in frames where frame.count > 42 && frame[12] == 8 && frame[13] == 0 && frame[14] == 0x45 {
      func word(_ offset: Int) -> Int { Int(frame[offset]) << 8 | Int(frame[offset + 1]) }
      let isTCP = frame[23] == 6
      guard isTCP && frame.count >= 54 || frame[23] == 17 else { continue }
      let forward = Array(frame[26..<30] + frame[34..<36] + frame[30..<34] + frame[36..<38] + frame[23...23])
      let reverse = Array(frame[30..<34] + frame[36..<38] + frame[26..<30] + frame[34..<36] + frame[23...23])
      var isReverse = false
      let flow: Int
      if let known = flows.firstIndex(of: forward) {
        flow = known
      } else if let known = flows.firstIndex(of: reverse) {
        (flow, isReverse) = (known, true)
      } else if flows.count < 4 {
        flow = flows.count
        flows.append(forward)
      } else {
        continue
      }
      let start = isTCP ? 34 + Int(frame[46] >> 4) * 4 : 42
      let end = min(frame.count, 14 + word(16))
      guard start <= end else { continue }
      let payload = Array(frame[start..<end])
      let port = UInt16(isReverse ? word(34) : word(36))
      var segment = SegmentInput.Segment(
        kind: UInt8(flow << 1) | (isReverse ? 1 : 0) | (isTCP ? 0 : 0x10), flags: isTCP ? frame[47] : 0,
        offset: 0, port: UInt8(SegmentInput.ports.firstIndex(of: port) ?? 5), payload: payload)
      if isTCP {
        let index = flow * 2 + (isReverse ? 1 : 0)
        let sequence = UInt32(word(38)) << 16 | UInt32(word(40))
        let expected = next[index] ?? sequence
        segment.offset = Int16(clamping: Int32(bitPattern: sequence &- expected))
        let after = sequence &+ UInt32(payload.count) &+ (frame[47] & 2 == 0 ? 0 : 1)
        if next[index] == nil || Int32(bitPattern: after &- expected) > 0 { next[index] = after }
      }
      segments.append(segment)
    }
    return segments
  }
}

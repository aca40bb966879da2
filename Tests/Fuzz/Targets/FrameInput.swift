// Frames as they are: for the dissector and for what plugins read of headers.
import FlowCore

/// An input: `| link type 1 | shape 1 |`, then for each frame `| length 2 | missing 1 | time 1 | bytes |`; little-endian.
public enum FrameInput {
  /// The time of the first frame, nanoseconds since 1970.
  static let start: UInt64 = 1_700_000_000_000_000_000

  static func run(_ input: UnsafeRawBufferPointer, _ harness: EngineHarness) -> String? {
    var reader = InputReader(input)
    let link = Int(reader.byte()) % LinkType.allCases.count
    var run = harness.makeRun(reader.byte())
    run.worker.linkType = LinkType.allCases[link]
    var time = start
    var count = 0
    while reader.remaining > 4, count < 256 {
      let length = Int(reader.word() & 0x0FFF)
      let missing = UInt32(reader.byte())
      time &+= reader.nanoseconds()
      run.add(FuzzFrame(bytes: reader.take(length), missing: missing, time: time))
      count += 1
    }
    return run.finish()
  }

  /// The input that stands for some frames.
  public static func encode(_ frames: [[UInt8]], linkType: LinkType) -> [UInt8] {
    var bytes: [UInt8] = [UInt8(LinkType.allCases.firstIndex(of: linkType) ?? 0), 3]
    for frame in frames {
      let length = min(frame.count, 0x0FFF)
      bytes += [UInt8(length & 0xFF), UInt8(length >> 8), 0, 0x11] + frame.prefix(length)
    }
    return bytes
  }
}

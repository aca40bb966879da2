// qos: traffic classes and flow labels, put into the headers by hand.
import Testing

@testable import FlowCore

@Suite struct QualityOfServiceTests {
  /// A packet with this DSCP, ECN and, for IPv6, flow label.
  private func packet(_ code: UInt8, _ ecn: UInt8, label: UInt32? = nil, forward: Bool = true)
    -> CapturedFrame
  {
    var frame = TestPacket(isForward: forward, isVersion6: label != nil).frame
    let trafficClass = code << 2 | ecn
    if let label {
      // | version 4 | traffic class 8 | flow label 20 | (RFC 8200 section 3)
      let word = 6 << 28 | UInt32(trafficClass) << 20 | label
      frame.bytes.replaceSubrange(14..<18, with: FrameBuilder.word(word))
    } else {
      frame.bytes[15] = trafficClass
    }
    return frame
  }

  private func numbers(_ record: Record, _ name: String) -> [Double] {
    let (owner, name) = (name.prefix { $0 != ":" }, name.drop { $0 != ":" })
    return [record.number("\(owner)\(name)"), record.number("\(owner)@reverse\(name)")]
  }

  @Test func codePointsOfIPv4() throws {
    let frames = [
      packet(0, 0), packet(46, 2, forward: false), packet(46, 3), packet(10, 1), packet(46, 3),
      packet(46, 2, forward: false),
    ]
    let record = try #require(try Capture(frames: frames).run(plugins: ["qos"]).records.first)
    #expect(numbers(record, "iana:ipDiffServCodePoint") == [0, 46])
    // Bits 0, 10 and 46.
    #expect(numbers(record, "martlet:ipDiffServCodePoints") == [70_368_744_178_689, 70_368_744_177_664])
    // Not-ECT, ECT(1) and CE; ECT(0).
    #expect(numbers(record, "martlet:ipCongestionNotificationCodes") == [0b1011, 0b0100])
    #expect(numbers(record, "martlet:ipCongestionExperiencedCount") == [2, 0])
    #expect(numbers(record, "iana:flowLabelIPv6") == [0, 0])
    #expect(numbers(record, "martlet:flowLabelIPv6ChangeCount") == [0, 0])
  }

  @Test func flowLabelsOfIPv6() throws {
    let frames = [
      packet(63, 0, label: 0xF_FFFF), packet(0, 0, label: 0, forward: false), packet(63, 3, label: 0xF_FFFF),
      packet(63, 0, label: 1), packet(63, 0, label: 1), packet(8, 0, label: 0xF_FFFF),
      packet(0, 0, label: 0, forward: false),
    ]
    let record = try #require(try Capture(frames: frames).run(plugins: ["qos"]).records.first)
    #expect(numbers(record, "iana:flowLabelIPv6") == [1_048_575, 0])
    #expect(numbers(record, "martlet:flowLabelIPv6ChangeCount") == [2, 0])
    #expect(numbers(record, "iana:ipDiffServCodePoint") == [63, 0])
    #expect(numbers(record, "martlet:ipCongestionExperiencedCount") == [1, 0])
    #expect(numbers(record, "martlet:ipCongestionNotificationCodes") == [0b1001, 0b0001])
  }

  @Test func aDirectionWithoutPacketsHasNoCodePoint() throws {
    let record = try #require(try Capture(frames: [packet(5, 0)]).run(plugins: ["qos"]).records.first)
    #expect(numbers(record, "martlet:ipDiffServCodePoints") == [32, 0])
    #expect(numbers(record, "martlet:ipCongestionNotificationCodes") == [1, 0])
  }

  @Test func changesStopAtTheirMaximum() {
    var direction = QualityOfService.Direction()
    for number in 0...UInt32(70_000) { direction.add(number & 1, isFirst: number == 0) }
    #expect(direction.changes == .max)
  }
}

// rtt: handshakes and segments with times and numbers chosen by hand; headers of QUIC from RFC 9001 and RFC 9369.
import Testing
import Wire

@testable import FlowCore

@Suite struct RoundTripTests {
  private static let start: UInt64 = 1_700_000_000_000_000_000
  private static let (syn, synAck, ack, push, fin): (UInt8, UInt8, UInt8, UInt8, UInt8) = (
    0x02, 0x12, 0x10, 0x18, 0x11
  )

  private func segment(
    _ microseconds: Int, _ flags: UInt8, _ sequence: UInt32, _ acknowledgement: UInt32 = 0, length: Int = 0,
    forward: Bool = true, window: UInt16 = 1000
  ) -> TestPacket {
    TestPacket(
      time: Self.start + UInt64(microseconds) * 1000, isForward: forward,
      payload: [UInt8](repeating: 1, count: length), flags: flags, sequence: sequence,
      acknowledgement: acknowledgement, window: window)
  }

  /// Numbers 100 and 500; the server's round trip is 20 ms, the client's 5.5 ms.
  private var handshake: [TestPacket] {
    [
      segment(0, Self.syn, 100), segment(20_000, Self.synAck, 500, 101, forward: false),
      segment(25_500, Self.ack, 101, 501),
    ]
  }

  private func run(_ packets: [TestPacket]) throws -> Record {
    try #require(try Capture.run(packets, "rtt", configuration: .small).first)
  }

  private func trips(_ record: Record) -> [Double] {
    [record.number("martlet:handshakeServerRoundTrip"), record.number("martlet:handshakeClientRoundTrip")]
  }

  /// Retransmissions, segments out of order and zero windows, of one direction.
  private func counts(_ record: Record, _ direction: String = "") -> [Double] {
    ["Retransmission", "OutOfOrder", "ZeroWindow"].map {
      record.number("martlet\(direction):tcp\($0)Count")
    }
  }

  // MARK: TCP's handshake

  @Test func bothSidesAreMeasured() throws {
    let record = try run(handshake)
    #expect(trips(record) == [20_000, 5500])
    #expect(counts(record) == [0, 0, 0] && counts(record, "@reverse") == [0, 0, 0])
  }

  @Test func theAcknowledgementMayCarryData() throws {
    var packets = handshake
    packets[2] = segment(25_500, Self.push, 101, 501, length: 10)
    #expect(trips(try run(packets)) == [20_000, 5500])
  }

  /// Karn's rule: nobody knows which SYN the answer is to.
  @Test func aRepeatedSYNIsNotMeasured() throws {
    let record = try run([
      segment(0, Self.syn, 100), segment(1_000_000, Self.syn, 100),
      segment(1_020_000, Self.synAck, 500, 101, forward: false), segment(1_025_500, Self.ack, 101, 501),
    ])
    #expect(trips(record) == [0, 5500])
    #expect(counts(record) == [1, 0, 0])
  }

  @Test func aRepeatedSYNACKIsNotMeasured() throws {
    let record = try run([
      segment(0, Self.syn, 100), segment(20_000, Self.synAck, 500, 101, forward: false),
      segment(1_020_000, Self.synAck, 500, 101, forward: false), segment(1_025_500, Self.ack, 101, 501),
    ])
    #expect(trips(record) == [20_000, 0])
    #expect(counts(record, "@reverse") == [1, 0, 0])
  }

  /// No stack sends again so soon: the capture has each packet twice.
  @Test func copiesAreNoRepetitions() throws {
    let record = try run(handshake.flatMap { [$0, $0] })
    #expect(trips(record) == [20_000, 5500])
    #expect(counts(record) == [1, 0, 0] && counts(record, "@reverse") == [1, 0, 0])
  }

  @Test func theServerMayBeSeenFirst() throws {
    let record = try run([
      segment(0, Self.synAck, 500, 101), segment(700, Self.ack, 101, 501, forward: false),
    ])
    #expect(trips(record) == [0, 700])
  }

  @Test func whatTakesNoTimeWasMeasured() throws {
    let record = try run([
      segment(0, Self.syn, 100), segment(0, Self.synAck, 500, 101, forward: false),
      segment(0, Self.ack, 101, 501),
    ])
    #expect(trips(record) == [1, 1])
  }

  @Test func noHandshakeNoTime() throws {
    #expect(trips(try run([segment(0, Self.push, 7, length: 1), segment(9, Self.ack, 8)])) == [0, 0])
    // Refused: that is an answer of the server.
    let refused = [segment(0, Self.syn, 100), segment(20_000, 0x14, 0, 101, forward: false)]
    #expect(trips(try run(refused + [segment(30_000, Self.ack, 101, 1)])) == [20_000, 0])
    // An acknowledgement of something else.
    let other = [segment(0, Self.syn, 100), segment(20_000, Self.synAck, 500, 200, forward: false)]
    #expect(trips(try run(other)) == [0, 0])
  }

  // MARK: Segments

  @Test func aSegmentInAGapIsLateOrRepeated() throws {
    let record = try run(
      handshake + [
        segment(30_000, Self.push, 101, 501, length: 100),
        segment(30_100, Self.push, 301, 501, length: 100),
        // 9.9 ms after it was missed: less than the round trip of 25.5 ms.
        segment(40_000, Self.push, 201, 501, length: 100),
        segment(41_000, Self.push, 501, 501, length: 100),
        // 25.5 ms after: an answer can have come back.
        segment(66_500, Self.push, 401, 501, length: 100),
        // All of it was there.
        segment(66_600, Self.push, 101, 501, length: 100),
        segment(66_700, Self.push, 601, 501, length: 100),
      ])
    #expect(counts(record) == [2, 1, 0])
  }

  /// 3 ms where no handshake was seen, as tshark has it.
  @Test(arguments: [(2999, [0, 1, 0]), (3000, [1, 0, 0])] as [(Int, [Double])])
  func withoutRoundTripALateSegmentHasThreeMilliseconds(_ late: Int, _ expected: [Double]) throws {
    let record = try run([
      segment(0, Self.push, 1, length: 10), segment(100, Self.push, 21, length: 10),
      segment(100 + late, Self.push, 11, length: 10),
    ])
    #expect(counts(record) == expected)
  }

  @Test func aGapIsClosedFromBothEnds() throws {
    let record = try run([
      segment(0, Self.push, 1, length: 10), segment(1, Self.push, 41, length: 10),
      segment(2, Self.push, 31, length: 10), segment(3, Self.push, 11, length: 20),
      // Nothing is missing now.
      segment(4, Self.push, 31, length: 10), segment(5, Self.push, 11, length: 5),
    ])
    #expect(counts(record) == [2, 2, 0])
  }

  @Test func whatWasAcknowledgedIsNotMissing() throws {
    let record = try run([
      segment(0, Self.push, 1, length: 10), segment(1, Self.push, 21, length: 10),
      segment(2, Self.ack, 900, 31, forward: false), segment(3, Self.push, 11, length: 10),
    ])
    #expect(counts(record) == [1, 0, 0])
  }

  @Test func anAcknowledgementIsBehindAllThatWasSent() throws {
    let record = try run([
      segment(0, Self.push, 1, length: 10), segment(1, Self.ack, 21),
      segment(2, Self.push, 11, length: 10), segment(3, Self.push, 21, length: 10),
    ])
    #expect(counts(record) == [0, 1, 0])
  }

  @Test func aLateCopyOfTheSYNChangesNothing() throws {
    let record = try run(
      handshake + [
        segment(30_000, Self.push, 101, 501, length: 100), segment(30_100, Self.syn, 100),
        segment(30_200, Self.push, 201, 501, length: 100),
      ])
    #expect(counts(record) == [1, 0, 0])
  }

  @Test func numbersWrap() throws {
    let packets = [
      segment(0, Self.syn, .max), segment(1000, Self.synAck, .max - 1, 0, forward: false),
      segment(2000, Self.ack, 0, .max), segment(2001, Self.push, .max, 0, length: 20, forward: false),
      segment(2002, Self.push, 19, 0, length: 20, forward: false),
      segment(2003, Self.push, .max, 0, length: 20, forward: false),
      segment(2004, Self.push, 0, 19, length: 3), segment(2005, Self.push, 0, 19, length: 3),
    ]
    let record = try run(packets)
    #expect(trips(record) == [1000, 1000])
    #expect(counts(record) == [1, 0, 0] && counts(record, "@reverse") == [1, 0, 0])
  }

  @Test func endsAndKeepAlives() throws {
    let record = try run(
      handshake + [
        segment(30_000, Self.push, 101, 501, length: 10),
        // Keep-alives: the byte before, with data or without.
        segment(40_000, Self.ack, 110, 501, length: 1), segment(50_000, Self.ack, 110, 501),
        segment(60_000, Self.fin, 111, 501), segment(99_000, Self.fin, 111, 501),
        segment(99_100, Self.ack, 112, 501), segment(99_200, 0x04, 50, 0),
      ])
    #expect(counts(record) == [1, 0, 0])
  }

  @Test func zeroWindowsAndTheirProbes() throws {
    let record = try run(
      handshake + [
        segment(30_000, Self.push, 101, 501, length: 10),
        segment(30_100, Self.ack, 501, 111, forward: false, window: 0),
        // Probes of one new byte, then the byte with others.
        segment(30_200, Self.ack, 111, 501, length: 1), segment(31_200, Self.ack, 111, 501, length: 1),
        segment(31_300, Self.ack, 501, 111, forward: false, window: 0),
        segment(32_000, Self.ack, 501, 111, forward: false, window: 9),
        segment(32_100, Self.push, 111, 501, length: 9),
        // Neither SYN nor RST has a window that counts.
        segment(32_200, 0x14, 501, 120, forward: false, window: 0),
      ])
    #expect(counts(record) == [0, 0, 0])
    #expect(counts(record, "@reverse") == [0, 0, 2])
  }

  // MARK: QUIC

  private func bytes(_ hexadecimal: String, length: Int) -> [UInt8] {
    let digits = Array(hexadecimal)
    let bytes = stride(from: 0, to: digits.count, by: 2).map {
      UInt8(String(digits[$0...$0 + 1]), radix: 16)!
    }
    return bytes + [UInt8](repeating: 0, count: length - bytes.count)
  }

  private func datagram(_ microseconds: Int, _ payload: [UInt8], forward: Bool = true) -> TestPacket {
    TestPacket(
      time: Self.start + UInt64(microseconds) * 1000, isForward: forward, payload: payload,
      protocolNumber: 17)
  }

  /// RFC 9001 appendix A.2, and a second one from the client as it follows the server's.
  private var initial: [UInt8] { bytes("c300000001088394c8f03e5157080000449e", length: 1200) }
  /// RFC 9001 appendix A.3.
  private var answer: [UInt8] { bytes("cf000000010008f067a5502a4262b5004075", length: 1200) }
  /// RFC 9001 appendix A.4.
  private var retry: [UInt8] { bytes("ff000000010008f067a5502a4262b5746f6b656e", length: 36) }
  /// Type 1: 0-RTT, which has no token.
  private var early: [UInt8] { bytes("d300000001088394c8f03e51570800449f", length: 1200) }
  private let short: [UInt8] = [0x4C, 0xFE, 0x41, 0x89, 0x65, 0x5E, 0x5C, 0xD5, 0x5C, 0x41]

  @Test func theHandshakeOfQUIC() throws {
    let record = try run([
      datagram(0, initial), datagram(30_000, answer, forward: false),
      datagram(30_050, answer, forward: false), datagram(34_000, initial), datagram(35_000, short),
    ])
    #expect(trips(record) == [30_000, 4000])
    #expect(counts(record) == [0, 0, 0])
  }

  @Test func aHelloOfTwoDatagramsAndEarlyData() throws {
    let record = try run([
      datagram(0, initial), datagram(40, initial), datagram(80, early),
      datagram(30_000, retry, forward: false), datagram(30_100, early), datagram(34_000, initial),
    ])
    #expect(trips(record) == [30_000, 4000])
  }

  @Test func aRepeatedInitialIsNotMeasured() throws {
    let record = try run([
      datagram(0, initial), datagram(1_000_000, initial), datagram(1_030_000, answer, forward: false),
      datagram(1_034_000, initial),
    ])
    #expect(trips(record) == [0, 4000])
  }

  @Test func otherDatagramsAreNoQUIC() throws {
    for payload in [Array(initial.prefix(1199)), answer, short, early] {
      let record = try run([datagram(0, payload), datagram(5, answer, forward: false)])
      #expect(record["martlet:handshakeServerRoundTrip"] == nil)
    }
  }
}

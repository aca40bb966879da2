import FlowCore
import Foundation
import Testing

// The capture reader on files made here byte by byte: both byte orders, both precisions, damage, long packets.
import struct Captures.Capture
import struct Captures.CaptureBurst

@testable import ExporterApp

@Suite struct CaptureTests {
  /// A classic pcap file.
  func pcap(
    bigEndian: Bool = false, nano: Bool = false, link: UInt32 = 1, packets: [[UInt8]],
    time: UInt32 = 1_700_000_000
  ) -> [UInt8] {
    func word(_ value: UInt32) -> [UInt8] {
      withUnsafeBytes(of: bigEndian ? value.bigEndian : value.littleEndian) { Array($0) }
    }
    func half(_ value: UInt16) -> [UInt8] {
      withUnsafeBytes(of: bigEndian ? value.bigEndian : value.littleEndian) { Array($0) }
    }
    var bytes = word(nano ? 0xa1b2_3c4d : 0xa1b2_c3d4) + half(2) + half(4) + word(0) + word(0) + word(262_144)
    bytes += word(link)
    for packet in packets {
      bytes +=
        word(time) + word(nano ? 7000 : 7) + word(UInt32(packet.count)) + word(UInt32(packet.count)) + packet
    }
    return bytes
  }

  /// Runs `body` with the bytes in a file.
  func withFile<Result>(_ bytes: [UInt8], _ body: (String) throws -> Result) throws -> Result {
    let path = NSTemporaryDirectory() + "martlet-\(UUID().uuidString).pcap"
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }

  @Test(arguments: [false, true], [false, true])
  func byteOrdersAndPrecisions(bigEndian: Bool, nano: Bool) throws {
    try withFile(pcap(bigEndian: bigEndian, nano: nano, packets: [[1, 2, 3]])) { path in
      let capture = try Capture(path)
      guard case .packet(let packet) = capture.next() else {
        Issue.record("no packet")
        return
      }
      #expect(packet.time == 1_700_000_000_000_007_000)
      #expect(packet.captured == 3)
      #expect(packet.bytes[2] == 3)
      guard case .end = capture.next() else {
        Issue.record("no end")
        return
      }
    }
  }

  @Test func aCutFileGivesWhatIsThere() throws {
    try withFile(pcap(packets: [[1, 2, 3], [4, 5, 6]]).dropLast(2)) { path in
      let capture = try Capture(path)
      guard case .packet = capture.next(), case .damaged(let reason) = capture.next() else {
        Issue.record("not a packet, then damage")
        return
      }
      #expect(reason.contains("truncated"))
    }
  }

  @Test func whatIsNoCaptureIsNamed() throws {
    func message(_ bytes: [UInt8]) throws -> String {
      try withFile(bytes) { path in
        do {
          let capture = try Capture(path)
          return "opened \(capture.name)"
        } catch let failure as Failure { return failure.description }
      }
    }
    #expect(try message([]).contains("is empty"))
    #expect(try message(Array("this is a text, no capture at all".utf8)).contains("is not a capture"))
    // RFC 1952 section 2.3.1 and RFC 8878 section 3.1.1; the others by their programs.
    let packed: [([UInt8], String)] = [
      ([0x1F, 0x8B, 8, 0], "gunzip -k"), ([0x28, 0xB5, 0x2F, 0xFD], "unzstd"),
      ([0xFD] + Array("7zXZ".utf8) + [0], "unxz -k"), (Array("BZh9".utf8), "bunzip2 -k"),
    ]
    for (start, command) in packed {
      #expect(try message(start + [UInt8](repeating: 7, count: 60)).contains("unpack it first (\(command) "))
    }
    #expect(try message(pcap(link: 189, packets: [])).contains("link type"))
    #expect(throws: Failure.self) { try Capture("/nonexistent/x.pcap").name }
  }

  @Test(
    arguments: [
      (1, .ethernet), (113, .linuxCooked), (276, .linuxCooked2), (101, .rawIP), (228, .rawIP), (229, .rawIP),
      (0, .loopback), (108, .loopback), (9, .ppp), (50, .ppp), (51, .pppoe),
    ] as [(UInt32, LinkType)])
  func linkTypes(number: UInt32, type: LinkType) throws {
    let found = try withFile(pcap(link: number, packets: [])) { path in
      let capture = try Capture(path)
      return capture.linkType
    }
    #expect(found == type)
  }

  @Test func longPacketsGrowTheirSlot() throws {
    let long = [UInt8](repeating: 7, count: 200_000)
    try withFile(pcap(packets: [[1], long, [2]])) { path in
      let capture = try Capture(path)
      var burst = CaptureBurst()
      while case .packet(let packet) = capture.next() { burst.append(packet) }
      #expect(burst.count == 3)
      #expect(burst.frames[1].captured == 200_000)
      #expect(burst.frames[1].bytes.load(fromByteOffset: 199_999, as: UInt8.self) == 7)
      #expect(burst.frames[2].bytes.load(as: UInt8.self) == 2)
      #expect(burst.wireBytes == 200_002)
    }
  }
}

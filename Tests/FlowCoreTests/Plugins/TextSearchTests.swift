// How text is searched in bytes, against the standard library: sixteen bytes at a time find what one at a time does.
import Foundation
import TestSupport
import Testing
import Wire

@testable import FlowCore

struct TextSearchTests {
  /// A search in `bytes`, which lie between others that it would find.
  private func search<Found>(_ bytes: [UInt8], among other: UInt8, _ body: (Bytes) -> Found) -> Found {
    let padding = [UInt8](repeating: other, count: 24)
    return (padding + bytes + padding).withUnsafeBytes {
      body(Bytes($0).dropFirst(padding.count).prefix(bytes.count))
    }
  }

  @Test func aByteIsFoundWhereItStandsFirst() {
    for count in 0...70 {
      for first in 0...count {
        var bytes = [UInt8](repeating: 0x8A, count: count)
        for index in first..<count where (index - first) % 5 == 0 { bytes[index] = 0x0A }
        for start in [0, 1, first, first + 1, count, count + 1, -1] {
          let expected = bytes.indices.first { $0 >= start && bytes[$0] == 0x0A }
          #expect(search(bytes, among: 0x0A) { $0.index(of: 0x0A, from: start) } == expected)
        }
      }
    }
  }

  @Test func eitherOfTwoBytesIsFound() {
    var generator = SeededGenerator(seed: 16)
    for _ in 0..<2000 {
      let bytes = (0..<Int.random(in: 0...50, using: &generator)).map { _ in
        UInt8.random(in: 0x40...0x7F, using: &generator)
      }
      let expected = bytes.firstIndex { $0 == 0x53 || $0 == 0x73 }
      #expect(search(bytes, among: 0x73) { $0.index(of: 0x73, or: 0x53) } == expected)
    }
  }

  @Test func wordsAreFoundInAnyCase() {
    var generator = SeededGenerator(seed: 17)
    let letters = Array("sSpPaAmM4SPAMspam@`[{".utf8)
    for _ in 0..<4000 {
      let bytes = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
        letters.randomElement(using: &generator) ?? 0
      }
      let text = String(decoding: bytes, as: UTF8.self).lowercased()
      let expected = text.range(of: "spam").map {
        text.utf8.distance(from: text.startIndex, to: $0.lowerBound)
      }
      #expect(search(bytes, among: 0x73) { $0.find("spam") } == expected)
      #expect(search(bytes, among: 0x73) { $0.beginsInAnyCase(with: "spa") } == text.hasPrefix("spa"))
    }
  }

  /// Of each name with one byte changed to each other only the capital in a small letter's place is the same.
  @Test func namesAreComparedInAnyCase() {
    func check(_ name: StaticString) {
      let plain = Array("\(name)".utf8)
      for index in plain.indices {
        for byte in UInt8.min...UInt8.max {
          var bytes = plain
          bytes[index] = byte
          let isSame =
            byte == plain[index]
            || (0x41...0x5A).contains(byte) && byte + 0x20 == plain[index]
          #expect(search(bytes, among: 0x20) { $0.equals(name) } == isSame)
        }
      }
      #expect(!search(plain + [0x20], among: 0x20) { $0.equals(name) })
      #expect(!search(Array(plain.dropLast()), among: plain.last ?? 0) { $0.equals(name) })
    }
    check("host")
    check("call-id")
    check("location")
    check("user-agent")
    check("content-length")
    check("transfer-encoding")
  }
}

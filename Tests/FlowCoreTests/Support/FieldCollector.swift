// A writer that keeps what a record says, for tests to compare: keys and values as in `json:` output.
import Foundation
import IPFIX
import IPFIXDecoding

/// One value of a record.
enum FieldValue: Equatable {
  case number(Double)
  case text(String)
  case list([FieldValue])
}

/// Collects a record's fields under their JSON keys.
struct FieldCollector: NumberWriter {
  var fields: [String: FieldValue] = [:]

  private mutating func set(_ element: InformationElement, _ value: FieldValue) {
    fields["\(element.owner)\(element.isReverse ? "@reverse" : ""):\(element.name)"] = value
  }

  static func isoTime(_ nanoseconds: UInt64) -> String {
    let microseconds = nanoseconds / 1000
    let formatter = ISO8601DateFormatter()
    let seconds = formatter.string(from: Date(timeIntervalSince1970: Double(microseconds / 1_000_000)))
    return seconds.dropLast() + String(format: ".%06dZ", Int(microseconds % 1_000_000))
  }

  mutating func number(_ element: InformationElement, _ value: UInt64) {
    set(element, .number(Double(value)))
  }
  mutating func float32(_ element: InformationElement, _ value: Float) {
    set(element, .number(Double(value)))
  }

  mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) {
    set(element, .text((0..<4).map { String(address >> (24 - 8 * $0) & 0xFF) }.joined(separator: ".")))
  }

  mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) {
    var address = in6_addr()
    withUnsafeMutableBytes(of: &address) {
      $0.storeBytes(of: high.bigEndian, toByteOffset: 0, as: UInt64.self)
      $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }
    var text = [CChar](repeating: 0, count: 64)
    _ = inet_ntop(AF_INET6, &address, &text, 64)
    set(element, .text(String(decoding: text.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)))
  }

  mutating func macAddress(_ element: InformationElement, _ address: UInt64) {
    set(
      element,
      .text(
        (0..<6).map { String(format: "%02x", Int(address >> (40 - 8 * $0) & 0xFF)) }.joined(separator: ":")))
  }

  mutating func time(_ element: InformationElement, nanoseconds: UInt64) {
    set(element, .text(FieldCollector.isoTime(nanoseconds)))
  }

  mutating func octets(_ element: InformationElement, _ bytes: RawSpan) {
    set(element, .text("0x" + bytes.array.map { String(format: "%02x", $0) }.joined()))
  }

  mutating func string(_ element: InformationElement, _ bytes: RawSpan) {
    set(element, .text(String(decoding: bytes.array, as: UTF8.self)))
  }

  mutating func numbers(
    _ element: InformationElement, count: Int, isSigned: Bool, _ entry: (_ index: Int) -> UInt64
  ) {
    set(
      element,
      .list(
        (0..<count).map { .number(isSigned ? Double(Int64(bitPattern: entry($0))) : Double(entry($0))) }))
  }

  mutating func times(_ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64)
  {
    set(element, .list((0..<count).map { .text(FieldCollector.isoTime(entry($0))) }))
  }
}

extension RawSpan {
  var array: [UInt8] { (0..<byteCount).map { unsafeLoad(fromByteOffset: $0, as: UInt8.self) } }
}

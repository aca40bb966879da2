// Hellos made by hand, in the records of TLS and DTLS.
@testable import FlowCore

enum TLSBuilder {
  /// Joins parts; long sums of arrays take the compiler too long.
  static func join(_ parts: [UInt8]...) -> [UInt8] { parts.flatMap { $0 } }
  static func word(_ value: Int) -> [UInt8] { FrameBuilder.word(UInt16(truncatingIfNeeded: value)) }
  /// A field with its length in one or two bytes before it.
  static func field8(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count)] + bytes }
  static func field16(_ bytes: [UInt8]) -> [UInt8] { word(bytes.count) + bytes }

  static func list(_ type: Int, _ contents: [UInt8]) -> [UInt8] { word(type) + field16(contents) }
  static func serverName(_ name: String) -> [UInt8] {
    list(0, field16([0] + field16(Array(name.utf8))))
  }
  static func protocols(_ names: [String]) -> [UInt8] {
    list(16, field16(names.flatMap { field8(Array($0.utf8)) }))
  }
  static func versions(_ versions: [Int]) -> [UInt8] { list(43, field8(versions.flatMap(word))) }
  static func numbers(_ type: Int, _ numbers: [Int]) -> [UInt8] { list(type, field16(numbers.flatMap(word))) }

  /// A message's header and body.
  static func message(_ type: UInt8, _ body: [UInt8]) -> [UInt8] {
    [type, UInt8(body.count >> 16)] + word(body.count & 0xFFFF) + body
  }

  /// A ClientHello's body; `extensions` nil leaves the whole block out, `cookie` is DTLS's.
  static func clientHello(
    version: Int = 0x0303, ciphers: [Int] = [0x1301, 0xC02F], extensions: [UInt8]? = [],
    cookie: [UInt8]? = nil
  ) -> [UInt8] {
    join(
      word(version), [UInt8](repeating: 0x5A, count: 32), field8([]), cookie.map(field8) ?? [],
      field16(ciphers.flatMap(word)), field8([0]), extensions.map(field16) ?? [])
  }

  static func serverHello(version: Int = 0x0303, cipher: Int = 0x1301, extensions: [UInt8]? = []) -> [UInt8] {
    join(
      word(version), [UInt8](repeating: 0xA5, count: 32), field8([]), word(cipher), [0],
      extensions.map(field16) ?? [])
  }

  /// A message in TLS records of at most `fragment` bytes.
  static func records(_ message: [UInt8], fragment: Int = 16384, version: Int = 0x0301) -> [UInt8] {
    stride(from: 0, to: message.count, by: fragment).flatMap { start -> [UInt8] in
      join([22], word(version), field16(Array(message[start..<min(start + fragment, message.count)])))
    }
  }

  /// A message in DTLS records, one for each of its fragments; a datagram each.
  static func datagrams(
    _ type: UInt8, _ body: [UInt8], number: Int = 0, fragment: Int = 65535, version: Int = 0xFEFD
  ) -> [[UInt8]] {
    stride(from: 0, to: body.count, by: fragment).enumerated().map { index, offset in
      let part = Array(body[offset..<min(offset + fragment, body.count)])
      let header = join(
        [type, 0], word(body.count), word(number), [0], word(offset), [0], word(part.count))
      return join([22], word(version), [0, 0, 0, 0, 0, 0], word(index), field16(header + part))
    }
  }

  /// A browser's hello, with GREASE, of a size that needs two segments.
  static let browser = message(
    1,
    clientHello(
      ciphers: [0x2A2A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F],
      extensions: join(
        list(0x3A3A, []), serverName("www.example.org"), protocols(["h2", "http/1.1"]),
        versions([0x4A4A, 0x0304, 0x0303]), numbers(13, [0x0403, 0x0804]), numbers(10, [0x5A5A, 4588, 29]),
        list(11, field8([0])), list(0xFE0D, [UInt8](repeating: 7, count: 40)),
        list(51, [UInt8](repeating: 9, count: 1300)))))
  static let server = message(
    2, serverHello(cipher: 0x1302, extensions: versions13 + list(51, [UInt8](repeating: 3, count: 36))))
  private static let versions13 = list(43, word(0x0304))

  /// The fields of the tls plugin in a record.
  static func fields(_ record: Record) -> Record {
    record.filter { $0.key.lowercased().contains("tls") }
  }
}

// Text from librdkafka, some of which brokers wrote, as one line for a terminal.
import CKafka
import Glibc

/// Turns librdkafka's text into strings.
enum KafkaText {
  /// The longest text that is shown, in octets.
  private static let limit = 400

  /// A C string as one line: control characters become blanks, what is no UTF-8 becomes U+FFFD, and what is too long is cut off.
  static func line(_ text: UnsafePointer<CChar>?) -> String {
    guard let text else { return "" }
    let length = strnlen(text, limit)
    return String(unsafeUninitializedCapacity: length) { buffer in
      var index = 0
      var before: UInt8 = 0
      while index < length, index < buffer.count {
        let octet = UInt8(bitPattern: text[index])
        // U+0080 to U+009F are controls of two octets, of which the first alone is no UTF-8 and harmless.
        let isControl = octet < 0x20 || octet == 0x7F || before == 0xC2 && octet < 0xA0 && octet >= 0x80
        buffer[index] = isControl ? 0x20 : octet
        before = octet
        index &+= 1
      }
      return index
    }
  }

  /// The words for an error code.
  static func line(_ code: rd_kafka_resp_err_t) -> String { line(rd_kafka_err2str(code)) }

  /// Calls `body` with room for the reason of a failure; its result and the reason.
  static func reason<Result>(_ body: (UnsafeMutablePointer<CChar>?, Int) -> Result) -> (Result, String) {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
      buffer.initialize(repeating: 0)
      let result = body(buffer.baseAddress, buffer.count)
      return (result, line(buffer.baseAddress))
    }
  }
}

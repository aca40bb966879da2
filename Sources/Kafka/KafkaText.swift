// Text from librdkafka, some of which brokers wrote, as one line for a terminal.
import CKafka

/// Turns librdkafka's text into strings.
enum KafkaText {
  /// The longest text that is shown, in characters.
  private static let limit = 400

  /// A C string as one line: control characters become blanks, and what is too long is cut off.
  static func line(_ text: UnsafePointer<CChar>?) -> String {
    guard let text else { return "" }
    let scalars = String(cString: text).unicodeScalars.prefix(limit).map { scalar in
      scalar.properties.generalCategory == .control ? " " : Character(scalar)
    }
    return String(scalars)
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

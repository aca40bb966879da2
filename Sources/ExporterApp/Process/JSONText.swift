// Strings as JSON (RFC 8259 section 7) has them, for what the program itself writes. Export lcores say something, too: nothing here
// may trap.

/// Text for JSON.
enum JSONText {
  /// Text as a JSON string, with its quotes.
  static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      case "\t": quoted += "\\t"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        quoted += "\\u00"
        quoted.unicodeScalars.append(digit(scalar.value &>> 4))
        quoted.unicodeScalars.append(digit(scalar.value & 15))
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  /// A hexadecimal digit of a number below 16.
  private static func digit(_ number: UInt32) -> Unicode.Scalar {
    Unicode.Scalar(UInt8(truncatingIfNeeded: number &+ (number < 10 ? 0x30 : 0x57)))
  }
}

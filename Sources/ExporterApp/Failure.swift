// How Martlet gives up: one line that names what is wrong and what to do, and an exit status.
import Glibc

/// Why the program cannot go on, in words for the person who started it.
struct Failure: Error, Equatable, CustomStringConvertible {
  /// Exit status: `usage` for a wrong command line, else `general`.
  var status: Int32
  /// One line without the program's name: what is wrong, then what to do.
  var description: String

  /// EX_USAGE of sysexits.h.
  static let usageStatus: Int32 = 64
  /// Everything that is not the command line's fault.
  static let generalStatus: Int32 = 1

  /// A wrong command line.
  static func usage(_ message: String) -> Failure { Failure(status: usageStatus, description: message) }
  /// Anything else.
  static func general(_ message: String) -> Failure { Failure(status: generalStatus, description: message) }
}

/// Standard error, a line at a time; every line of the program's own carries its name.
enum Console {
  /// Writes one line to standard error in a single write, so that lcores' lines do not mix.
  static func line(_ text: String) {
    let bytes = Array("martlet: \(text)\n".utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
  }

  /// A thing that does not stop the program.
  static func warning(_ text: String) { line("warning: \(text)") }

  /// Text as it is, for tables and help.
  static func raw(_ text: String, to descriptor: Int32 = STDERR_FILENO) {
    let bytes = Array(text.utf8)
    var offset = 0
    while offset < bytes.count {
      let written = bytes[offset...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if written <= 0 { return }
      offset += written
    }
  }
}

/// The text of an errno value.
func errorText(_ number: Int32) -> String { String(cString: strerror(number)) }

// How Martlet gives up: one line that names what is wrong and what to do, and whose fault it is.
import Glibc

/// Why the program cannot go on, in words for the person who started it.
public struct Failure: Error, Equatable, CustomStringConvertible {
  /// Exit status: `usage` for a wrong command line, `lost` for missing records, else `general`.
  public var status: Int32
  /// One line without the program's name: what is wrong, then what to do.
  public var description: String

  /// EX_USAGE of sysexits.h.
  public static let usageStatus: Int32 = 64
  /// The run went to its end, but records were lost on the way out.
  public static let lostStatus: Int32 = 2
  /// Everything that is not the command line's fault.
  public static let generalStatus: Int32 = 1

  /// A wrong command line.
  public static func usage(_ message: String) -> Failure {
    Failure(status: usageStatus, description: message)
  }
  /// Records were lost on the way out.
  public static func lost(_ message: String) -> Failure { Failure(status: lostStatus, description: message) }
  /// Anything else.
  public static func general(_ message: String) -> Failure {
    Failure(status: generalStatus, description: message)
  }
}

/// The system's words for an errno.
public func errorText(_ number: Int32) -> String {
  let words: UnsafeMutablePointer<CChar>? = strerror(number)
  return words.map { String(cString: $0) } ?? "error \(number)"
}

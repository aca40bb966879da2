// Values that settings have, each with its own way to say what it wanted, wherever the text comes from.
/// Text that is no value of its kind.
public struct InvalidValue: Error, CustomStringConvertible {
  /// What is wrong with it, or what is wanted.
  public let description: String

  public init(_ description: String) { self.description = description }
}

/// A span of time given in seconds, with decimals.
public struct Seconds: Equatable, Sendable {
  /// The span in nanoseconds; at most a hundred years.
  public var nanoseconds: UInt64

  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// Reads "30" or "0.5".
  public init(_ text: String) throws {
    // Double also reads "inf", "0x10" and "nan", which nobody means here.
    guard text.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }), let value = Double(text),
      value <= 3_153_600_000
    else { throw InvalidValue("'\(text)' is not a number of seconds (as 30 or 0.5)") }
    nanoseconds = UInt64((value * 1e9).rounded())
  }

  /// The span in seconds.
  public var seconds: Double { Double(nanoseconds) / 1e9 }

  /// The span in seconds, rounded up.
  public var wholeSeconds: UInt64 {
    nanoseconds / 1_000_000_000 &+ (nanoseconds % 1_000_000_000 == 0 ? 0 : 1)
  }
}

/// Whole numbers with bounds that the error names.
public enum Bounded {
  /// Reads a whole number within `range`.
  public static func parse(_ text: String, in range: ClosedRange<Int>) throws -> Int {
    guard let value = Int(text), range.contains(value) else {
      throw InvalidValue("'\(text)' is not a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }
}

// How a file is written, as the parameters of its `--export` say.

/// When a file is complete and the next one begins; whichever comes first.
struct FileRotation: Equatable, Sendable {
  /// Seconds from one file to the next, counted from 1970, as nfcapd does; nil: time ends no file.
  var interval: UInt64?
  /// Octets that a file does not exceed; nil: size ends no file.
  var size: Int?

  /// Octets below which files would be too many.
  static let leastSize = 4096
  /// Seconds of the longest interval, a year.
  static let longestInterval: UInt64 = 366 * 86400
  private static let largestSize = 1 << 50

  /// No end.
  init() {}

  /// Reads `300s`, `1G`, or both with a comma between them.
  init(_ text: String) throws(InvalidValue) {
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let unit = part.drop { $0.isASCII && $0.isNumber }
      guard let number = UInt64(part[..<unit.startIndex]) else { throw Self.meaningless(part) }
      switch unit {
      case "s", "min", "h", "d":
        guard interval == nil else { throw InvalidValue("'\(text)' has two times; leave one out") }
        let (seconds, overflow) = number.multipliedReportingOverflow(by: Self.seconds(unit))
        guard !overflow, (1...Self.longestInterval).contains(seconds) else {
          throw InvalidValue("'\(part)' is no time to rotate files; write 1s to 366d")
        }
        interval = seconds
      case "K", "M", "G", "T":
        guard size == nil else { throw InvalidValue("'\(text)' has two sizes; leave one out") }
        let (octets, overflow) = number.multipliedReportingOverflow(by: Self.octets(unit))
        guard !overflow, (UInt64(Self.leastSize)...UInt64(Self.largestSize)).contains(octets) else {
          throw InvalidValue(
            "'\(part)' is no size to rotate files; write 4K to 1024T: a few records need room")
        }
        size = Int(clamping: octets)
      case "m":
        throw InvalidValue("'\(part)' may mean minutes or megabytes; write \(number)min or \(number)M")
      default: throw Self.meaningless(part)
      }
    }
  }

  private static func meaningless(_ part: Substring) -> InvalidValue {
    InvalidValue("'\(part)' is neither a time (300s, 5min, 1h, 1d) nor a size (512K, 100M, 1G)")
  }

  private static func seconds(_ unit: Substring) -> UInt64 {
    switch unit {
    case "min": 60
    case "h": 3600
    case "d": 86400
    default: 1
    }
  }

  private static func octets(_ unit: Substring) -> UInt64 {
    switch unit {
    case "K": 1 << 10
    case "M": 1 << 20
    case "G": 1 << 30
    default: 1 << 40
    }
  }
}

/// How a file is written.
struct FileOptions: Equatable, Sendable {
  /// The names of a file that becomes visible when it is complete; nil for one that is written in its place.
  var pattern: FilePattern?
  /// When the next one begins, besides SIGHUP.
  var rotation = FileRotation()
  /// zstd's level; nil: as it is.
  var compressionLevel: Int?
}

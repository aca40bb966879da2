// The values that a configuration has, each with its own way to say what it wanted, wherever the text comes from.
import IPFIX

/// Text that is no value of its kind.
struct InvalidValue: Error, CustomStringConvertible {
  /// What is wrong with it, or what is wanted.
  let description: String

  init(_ description: String) { self.description = description }
}

/// A span of time given in seconds, with decimals.
struct Seconds: Equatable, Sendable {
  /// The span in nanoseconds; at most a hundred years.
  var nanoseconds: UInt64

  init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// Reads "30" or "0.5".
  init(_ text: String) throws {
    // Double also reads "inf", "0x10" and "nan", which nobody means here.
    guard text.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }), let value = Double(text),
      value <= 3_153_600_000
    else { throw InvalidValue("'\(text)' is not a number of seconds (as 30 or 0.5)") }
    nanoseconds = UInt64((value * 1e9).rounded())
  }

  /// The span in seconds.
  var seconds: Double { Double(nanoseconds) / 1e9 }

  /// The span in seconds, rounded up.
  var wholeSeconds: UInt64 { nanoseconds / 1_000_000_000 &+ (nanoseconds % 1_000_000_000 == 0 ? 0 : 1) }
}

/// Whole numbers with bounds that the error names.
enum Bounded {
  /// Reads a whole number within `range`.
  static func parse(_ text: String, in range: ClosedRange<Int>) throws -> Int {
    guard let value = Int(text), range.contains(value) else {
      throw InvalidValue("'\(text)' is not a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }
}

/// `--private-enterprise-number`: whose Martlet's own elements are.
enum OwnEnterprise {
  /// Reads a number under which templates have no other elements yet.
  static func parse(_ text: String) throws -> UInt32 {
    let number = UInt32(try Bounded.parse(text, in: 1...Int(UInt32.max)))
    let owner: String
    switch number {
    case EnterpriseNumber.reverse: owner = "the reverse elements of RFC 5103"
    case EnterpriseNumber.cesnet: owner = "CESNET's elements"
    case EnterpriseNumber.flowmon: owner = "Flowmon's elements"
    default: return number
    }
    throw InvalidValue(
      "'\(text)' is the enterprise number of \(owner), which Martlet exports too: give your own, or leave it at \(EnterpriseNumber.documentation)"
    )
  }
}

/// `--config`: which lcore polls which queue, as in l3fwd.
struct QueueMap: Equatable, Sendable {
  /// One `(port,queue,lcore)`.
  struct Entry: Equatable, Sendable {
    var port: UInt16
    var queue: UInt16
    var lcore: UInt32
  }
  /// In the order given.
  var entries: [Entry] = []

  /// Reads `(port,queue,lcore),(port,queue,lcore)`; spaces are ignored.
  init(_ text: String) throws {
    let wanted = InvalidValue("'\(text)' is not (port,queue,lcore),(port,queue,lcore),…")
    var rest = Substring(text.filter { !$0.isWhitespace })
    while !rest.isEmpty {
      guard rest.first == "(", let close = rest.firstIndex(of: ")") else { throw wanted }
      let fields = rest[rest.index(after: rest.startIndex)..<close].split(
        separator: ",", omittingEmptySubsequences: false)
      guard fields.count == 3, let port = UInt16(fields[0]), let queue = UInt16(fields[1]),
        let lcore = UInt32(fields[2])
      else { throw wanted }
      if entries.contains(where: { $0.port == port && $0.queue == queue }) {
        throw InvalidValue("'\(text)' gives port \(port) queue \(queue) to two lcores")
      }
      entries.append(Entry(port: port, queue: queue, lcore: lcore))
      rest = rest[rest.index(after: close)...]
      if rest.first == "," {
        rest = rest.dropFirst()
        if rest.isEmpty { throw wanted }
      } else if !rest.isEmpty {
        throw wanted
      }
    }
    if entries.isEmpty { throw wanted }
  }
}

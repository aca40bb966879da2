// The values that a configuration has, each with its own way to say what it wanted, wherever the text comes from.
import IPFIX

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

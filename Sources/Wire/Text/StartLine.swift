// How messages of HTTP (RFC 9112 sections 3 and 4), RTSP (RFC 2326 sections 6.1 and 7.1, RFC 7826) and SIP (RFC 3261
// section 7) begin. All three write the line alike:
//
//     method SP target SP NAME/1.1 CRLF
//     NAME/1.1 SP status SP reason CRLF

/// A protocol whose messages are a start line, header fields and a body.
package enum TextProtocol: UInt8, BitwiseCopyable, Sendable {
  case http, rtsp, sip

  /// Whether `bytes` begin with the protocol's name and the slash of its version.
  @inline(__always)
  func namesVersion(_ bytes: Bytes) -> Bool {
    switch self {
    case .http: bytes.starts(with: "HTTP/")
    case .rtsp: bytes.starts(with: "RTSP/")
    case .sip: bytes.starts(with: "SIP/")
    }
  }

  /// Bytes of the name without the slash.
  @inline(__always)
  var nameLength: Int { self == .sip ? 3 : 4 }
}

/// The first line of a message.
package struct StartLine: BitwiseCopyable {
  /// The method; empty for a response.
  package let method: Bytes
  /// The request's target; empty for a response.
  package let target: Bytes
  /// What stands behind the protocol's name and slash: `1.1`.
  package let version: Bytes
  /// The response's status, 100 to 999; 0 for a request.
  package let status: UInt16

  package var isRequest: Bool { status == 0 }

  /// What bytes at the place of a start line are.
  package enum Outcome {
    /// The line, and its bytes with the end of line.
    case line(StartLine, length: Int)
    /// They may be one, of which more is needed.
    case incomplete
    case other
  }

  /// The longest line that is read; targets are longer only where servers refuse them.
  package static let longest = 8192
  /// A method is shorter than this: the longest of the registered ones is `UPDATEREDIRECTREF`.
  private static let longestMethod = 32

  /// Reads the line with which `bytes` begin. What is none is told by the first few bytes.
  @inline(__always)
  package static func read(_ bytes: Bytes, _ kind: TextProtocol) -> Outcome {
    let head = bytes.prefix(longestMethod)
    var word = 0
    while word < head.count, isOfMethod(head[word]) { word &+= 1 }
    guard word < head.count else { return head.count < longestMethod ? .incomplete : .other }
    let isRequest = word > 0 && head[word] == space
    guard isRequest || word == kind.nameLength && kind.namesVersion(bytes) else { return .other }
    guard let end = bytes.prefix(longest).index(of: lineFeed, from: word) else {
      return bytes.count < longest ? .incomplete : .other
    }
    let hasReturn = bytes[end &- 1] == carriageReturn
    let line = bytes.prefix(hasReturn ? end &- 1 : end)
    guard let start = isRequest ? request(line, method: word, kind) : response(line, kind) else {
      return .other
    }
    return .line(start, length: end &+ 1)
  }

  @inline(__always)
  private static func request(_ line: Bytes, method: Int, _ kind: TextProtocol) -> StartLine? {
    // The version is the last word, behind a target that should have no blanks.
    var version = line.count
    while version > method &+ 1, line[version &- 1] != space { version &-= 1 }
    let target = version &- method &- 2
    guard target > 0, kind.namesVersion(line.dropFirst(version)) else { return nil }
    return StartLine(
      method: line.prefix(method), target: line.slice(method &+ 1, target),
      version: line.dropFirst(version &+ kind.nameLength &+ 1), status: 0)
  }

  @inline(__always)
  private static func response(_ line: Bytes, _ kind: TextProtocol) -> StartLine? {
    guard let end = line.index(of: space) else { return nil }
    let start = kind.nameLength &+ 1
    let rest = line.dropFirst(end &+ 1)
    guard end > start, let status = rest.prefix(3).decimal, status >= 100, rest.count == 3 || rest[3] == space
    else { return nil }
    return StartLine(
      method: line.prefix(0), target: line.prefix(0), version: line.slice(start, end &- start),
      status: UInt16(truncatingIfNeeded: status))
  }

  /// Whether a byte stands in methods: capitals, and the signs that join words.
  @inline(__always)
  private static func isOfMethod(_ byte: UInt8) -> Bool { byte.isCapital || byte == 0x2D || byte == 0x5F }
}

/// The bytes that end lines and part words.
let space = UInt8(0x20)
let lineFeed = UInt8(0x0A)
let carriageReturn = UInt8(0x0D)

// Reads messages of HTTP, RTSP and SIP off a stream or a datagram: start line, header fields line by line, and over the body.
// It keeps no bytes: what it needs again stays with who shows it the bytes.
//
//     start line CRLF (name ":" OWS value OWS CRLF)* CRLF body
//
// The body (RFC 9112 section 6) is `Content-Length` bytes, or chunks, or all that follows.

/// One field of a header.
package struct HeaderField: BitwiseCopyable {
  /// In any case.
  package let name: Bytes
  /// Without blanks around it.
  package let value: Bytes

  /// The field that a line holds; nil for a line without colon, and for one that continues another (RFC 9112 section 5.2).
  @inline(__always)
  init?(_ line: Bytes) {
    guard !line.isEmpty, !line[0].isBlank, let colon = line.index(of: 0x3A) else { return nil }
    name = line.prefix(colon).trimmed
    value = line.dropFirst(colon &+ 1).trimmed
  }
}

/// What comes next in a message.
package enum MessageEvent {
  /// A message begins, `offset` bytes behind the first ones.
  case start(StartLine, offset: Int)
  case field(HeaderField)
  /// The header ended.
  case endOfHeader
  /// All is read, or the rest is needed again with what follows.
  case incomplete
  /// What stands where a message should begin is none.
  case other
}

/// How far the messages of one direction were read. All zero it is before a start line.
package struct MessageReader: BitwiseCopyable {
  private enum Phase: UInt8, BitwiseCopyable {
    case start, header
    /// A field's line is too long: what is left of it is passed over.
    case restOfLine
    /// `remaining` bytes of a body, or of a chunk and the end of line behind it.
    case body, chunk
    case chunkSize, trailer
    /// The body is all that follows.
    case rest
  }

  private var remaining: UInt64 = 0
  private var phase = Phase.start
  private var isChunked = false
  /// The message has no body whatever its fields say.
  private var isWithoutBody = false
  /// A response that may be without body although its fields name a length, as that to HEAD is.
  private var isAtBodyOfResponse = false
  /// The message under way, or the last one, is a response.
  package private(set) var isResponse = false
  private var hasLength = false
  /// Bytes are missing: what comes may be the midst of a message, until one begins.
  package private(set) var isLost = false

  package init() {}

  /// A line of a header that is longer is cut: what is kept of values is much shorter.
  private static let longestLine = 4096

  /// Forgets the message under way; what follows is the midst of something where bytes are missing.
  package mutating func restart(isLost: Bool) {
    self = MessageReader()
    self.isLost = isLost
  }

  /// The message under way has no body: it answers a HEAD.
  package mutating func passBody() { isWithoutBody = true }

  /// Reads on in `bytes` from `position` on, which moves behind what was read. Each call returns with a line, or at the end.
  /// - Complexity: O(bytes read)
  package mutating func next(_ bytes: Bytes, _ position: inout Int, _ kind: TextProtocol) -> MessageEvent {
    while position < bytes.count {
      let rest = bytes.dropFirst(position)
      switch phase {
      case .start:
        // Empty lines before a message are passed over (RFC 9112 section 2.2); SIP keeps connections alive with them.
        if rest[0] == lineFeed || rest[0] == carriageReturn {
          position &+= 1
        } else if kind == .rtsp, rest[0] == Self.interleavedMark {
          guard rest.count >= 4 else { return .incomplete }
          // | "$" 1 | channel 1 | length 2 | RTP or RTCP … | (RFC 2326 section 10.12)
          remaining = 4 &+ UInt64(rest.load(UInt16.self, at: 2))
          phase = .body
        } else {
          switch StartLine.read(rest, kind) {
          case .incomplete: return .incomplete
          case .other: return .other
          case .line(let line, let length):
            let offset = position
            position &+= length
            begin(line)
            return .start(line, offset: offset)
          }
        }
      case .header, .chunkSize, .trailer:
        guard let end = rest.prefix(Self.longestLine).index(of: lineFeed) else {
          guard rest.count >= Self.longestLine else { return .incomplete }
          if let field = passLongLine(rest, &position) { return .field(field) }
          continue
        }
        position &+= end &+ 1
        let line = rest.prefix(end > 0 && rest[end &- 1] == carriageReturn ? end &- 1 : end)
        if let event = take(line, kind) { return event }
      case .restOfLine:
        if let end = rest.index(of: lineFeed) {
          position &+= end &+ 1
          phase = .header
        } else {
          position = bytes.count
        }
      case .body, .chunk:
        if isAtBodyOfResponse, rest.starts(with: "HTTP/1.") {
          // The next response: this one answered a HEAD that was not seen.
          isAtBodyOfResponse = false
          phase = .start
          continue
        }
        isAtBodyOfResponse = false
        let step = min(remaining, UInt64(truncatingIfNeeded: rest.count))
        position &+= Int(truncatingIfNeeded: step)
        remaining &-= step
        if remaining == 0 { phase = phase == .chunk ? .chunkSize : .start }
      case .rest: position = bytes.count
      }
    }
    return .incomplete
  }

  /// What comes before a frame of another protocol on a connection of RTSP.
  private static let interleavedMark = UInt8(0x24)

  private mutating func begin(_ line: StartLine) {
    self = MessageReader()
    phase = .header
    isResponse = !line.isRequest
    // RFC 9112 section 6.3.
    isWithoutBody = line.status == 204 || line.status == 304 || line.status &- 100 < 100
  }

  /// Takes a line that is there whole; nil where there is nothing to tell.
  @inline(__always)
  private mutating func take(_ line: Bytes, _ kind: TextProtocol) -> MessageEvent? {
    switch phase {
    case .chunkSize:
      // | size in hexadecimal [; extensions] CRLF | data | CRLF | (RFC 9112 section 7.1)
      guard let size = line.leadingHexadecimal else {
        phase = .start
        return .other
      }
      remaining = size &+ 2
      phase = size == 0 ? .trailer : .chunk
      return nil
    case .trailer:
      if line.isEmpty { phase = .start }
      return nil
    default:
      if line.isEmpty {
        endHeader(kind)
        return .endOfHeader
      }
      guard let field = HeaderField(line) else { return nil }
      noteFraming(field, kind)
      return .field(field)
    }
  }

  private mutating func passLongLine(_ rest: Bytes, _ position: inout Int) -> HeaderField? {
    position &+= Self.longestLine
    guard phase == .header else {
      phase = .rest
      return nil
    }
    phase = .restOfLine
    return HeaderField(rest.prefix(Self.longestLine))
  }

  /// Notes what a field says of the body's length.
  @inline(__always)
  private mutating func noteFraming(_ field: HeaderField, _ kind: TextProtocol) {
    let isLength =
      field.name.count == 14 ? field.name.equals("content-length") : kind == .sip && field.name.equals("l")
    if isLength {
      guard let length = field.value.decimal else { return }
      remaining = length
      hasLength = true
    } else if kind == .http, field.name.count == 17, field.name.equals("transfer-encoding") {
      isChunked = field.value.find("chunked") != nil
    }
  }

  private mutating func endHeader(_ kind: TextProtocol) {
    if isWithoutBody {
      phase = .start
    } else if isChunked {
      phase = .chunkSize
    } else if hasLength {
      phase = remaining == 0 ? .start : .body
      isAtBodyOfResponse = isResponse && kind == .http
    } else {
      // Without a length only HTTP's responses have a body: up to the end of the connection.
      phase = isResponse && kind == .http ? .rest : .start
    }
  }
}

// The parsers of Wire by themselves: each takes any bytes, reads nothing outside of them, ends, and says the same of a stream
// however it is cut.
import CIntrinsics
import Wire

/// `| parser 1 | cut 1 | bytes |`
public enum ParserInput {
  private enum Parser: UInt8, CaseIterable {
    case clientHello, serverHello, certificate, certificates, dns, mqtt, ntp, netbios, smtp, ssdp, http, rtsp,
      sip, ssh, quic, frames
  }

  static func run(_ input: UnsafeRawBufferPointer) -> String? {
    guard input.count > 2, let base = input.baseAddress,
      let parser = Parser(rawValue: input[0] % UInt8(Parser.allCases.count))
    else { return nil }
    // In an allocation of its own length, so that the sanitizer sees a read past its end.
    let copy = UnsafeMutableRawPointer.allocate(byteCount: input.count - 2, alignment: 1)
    defer { copy.deallocate() }
    copy.copyMemory(from: base + 2, byteCount: input.count - 2)
    let bytes = Bytes(UnsafeRawPointer(copy), count: input.count - 2)
    return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Int(MARTLET_TRACE_SLOTS)) { faults in
      faults.initialize(repeating: 0)
      martlet_trace_slot(0)
      martlet_trace_faults(faults.baseAddress)
      defer { martlet_trace_faults(nil) }
      let answer = parse(bytes, parser, cut: max(1, Int(input[1])))
      return answer ?? (faults[0] == 0 ? nil : "\(parser) looked \(faults[0]) times outside of its bytes")
    }
  }

  /// Inputs for those parsers that a payload may be for.
  public static func encode(payload: [UInt8]) -> [[UInt8]] {
    func seed(_ parser: Parser, _ bytes: [UInt8]) -> [UInt8] { [parser.rawValue, 7] + bytes }
    guard let first = payload.first else { return [] }
    if first == TLS.RecordStart.handshake, payload.count > 9 {
      let body = Array(payload[9...])
      return payload[5] == TLS.HandshakeType.clientHello
        ? [seed(.clientHello, body)] : [seed(.serverHello, body), seed(.certificates, payload)]
    }
    switch first {
    case 0x41...0x5A: return [.http, .sip, .rtsp, .smtp, .ssdp, .ssh].map { seed($0, payload) }
    case 0x80...: return [seed(.quic, payload), seed(.dns, payload)]
    default: return [.dns, .ntp, .mqtt, .netbios, .ssh].map { seed($0, payload) }
    }
  }

  /// A fingerprint is the same whatever hellos came before, of which `memory` has some.
  private static func compareFingerprints(
    _ hello: TLS.ClientHello, _ transport: TLS.Transport, _ memory: TLS.FingerprintMemory
  ) -> String? {
    let empty = TLS.FingerprintMemory()
    defer { empty.free() }
    let first = (TLS.JA3.fingerprint(hello, empty), TLS.JA4.fingerprint(hello, transport: transport, empty))
    for memory in [empty, memory, memory] {
      let ja3 = TLS.JA3.fingerprint(hello, memory)
      let ja4 = TLS.JA4.fingerprint(hello, transport: transport, memory)
      guard ja3.indices.allSatisfy({ ja3[$0] == first.0[$0] }),
        ja4.indices.allSatisfy({ ja4[$0] == first.1[$0] })
      else { return "fingerprint: it depends on the hellos before" }
    }
    return nil
  }

  private static func parse(_ bytes: Bytes, _ parser: Parser, cut: Int) -> String? {
    switch parser {
    case .clientHello:
      let memory = TLS.FingerprintMemory()
      defer { memory.free() }
      for transport in [TLS.Transport.stream, .datagram, .quic] {
        guard let hello = try? TLS.ClientHello(bytes, transport: transport), hello.isFingerprinted else {
          continue
        }
        if let text = compareFingerprints(hello, transport, memory) { return text }
      }
    case .serverHello:
      if let hello = try? TLS.ServerHello(bytes), TLS.FingerprintLimit.allows(hello.extensions, others: 4) {
        let memory = TLS.FingerprintMemory()
        defer { memory.free() }
        let first = TLS.JA3.fingerprint(hello, memory)
        let second = TLS.JA3.fingerprint(hello, memory)
        guard first.indices.allSatisfy({ first[$0] == second[$0] }) else {
          return "fingerprint: it is another one the second time"
        }
      }
    case .certificate: _ = X509Certificate(bytes)
    case .certificates: return compareCertificates(bytes, cut)
    case .dns: return readDNS(bytes)
    case .mqtt:
      var reader = MQTTReader()
      var position = 0
      for _ in 0...bytes.count {
        switch reader.next(bytes, at: &position, wanted: cut) {
        case .end, .incomplete, .invalid: return nil
        default: if reader.isLost { return nil }
        }
      }
      return "mqtt: more events than bytes"
    case .ntp: _ = NTPHeader(bytes)?.transmit
    case .netbios: _ = NetBIOSName(questionOf: bytes)
    case .smtp:
      let command = SMTPCommand(bytes)
      _ = (command.argument.count, command.path.count, command.chunkLength, SMTPReply(bytes)?.code)
      var text = SMTPMailText()
      text.begin()
      var position = 0
      if !text.isOver(bytes, at: &position), position < bytes.count {
        return "smtp: a text neither over nor read"
      }
    case .ssdp:
      guard var message = SSDPMessage(bytes) else { return nil }
      for _ in 0...bytes.count {
        guard let header = message.nextHeader() else { return nil }
        _ = portOfURL(header.value)
      }
      return "ssdp: more headers than bytes"
    case .http: return readMessages(bytes, .http, cut)
    case .rtsp: return readMessages(bytes, .rtsp, cut)
    case .sip: return readMessages(bytes, .sip, cut)
    case .ssh:
      _ = SSH.start(bytes)
      if case .keyExchange(let exchange) = SSH.firstPacket(bytes) {
        for ofClient in [true, false] {
          _ = exchange.fingerprint(ofClient: ofClient)
          withText(SSH.KeyExchange.longestAlgorithms) {
            exchange.writeAlgorithms(ofClient: ofClient, to: &$0)
          }
        }
      }
    case .quic:
      var reader = QUIC.DatagramReader(bytes, length: bytes.count &+ cut &- 1)
      for _ in 0...bytes.count where reader.next() == nil { return nil }
      return "quic: more packets than bytes"
    case .frames:
      var reader = QUIC.FrameReader(bytes, version: cut & 1 == 0 ? 1 : QUIC.Version.googleT051)
      for _ in 0...bytes.count where reader.next() == nil { return nil }
      return "quic: more frames than bytes"
    }
    return nil
  }

  private static func withText(_ limit: Int, _ body: (inout ScratchText) -> Void) {
    withUnsafeTemporaryAllocation(byteCount: limit, alignment: 1) { memory in
      guard let base = memory.baseAddress else { return }
      var text = ScratchText(MutableBytes(base, count: limit))
      body(&text)
    }
  }

  // MARK: Certificates

  /// What a walk found: the leaf's bytes, how many certificates, whether it came to the end.
  private struct Chain: Equatable {
    var leaf: [UInt8] = []
    var certificates: UInt8 = 0
    var isOver = false
  }

  private static func walk(_ bytes: Bytes, step: Int) -> Chain? {
    var walk = TLS.CertificateWalk()
    var chain = Chain()
    var start = 0
    while start < bytes.count, !chain.isOver {
      var piece = bytes.slice(start, min(step, bytes.count - start))
      start += step
      // An event passes a byte, but for the one that tells the leaf's length.
      var left = 2 * piece.count + 2
      events: while true {
        guard left > 0 else { return nil }
        left -= 1
        switch walk.next(&piece) {
        case .incomplete: break events
        case .leaf: continue
        case .piece(let bytes, let isLast):
          chain.leaf += bytes.buffer
          if isLast, walk.isComplete { chain.isOver = true }
        case .complete, .failed: chain.isOver = true
        }
        if chain.isOver { break events }
      }
    }
    chain.certificates = walk.certificates
    return chain
  }

  private static func compareCertificates(_ bytes: Bytes, _ cut: Int) -> String? {
    guard let whole = walk(bytes, step: max(1, bytes.count)), let pieces = walk(bytes, step: cut) else {
      return "certificates: a walk that does not end"
    }
    return whole == pieces ? nil : "certificates: cut at \(cut) they are others"
  }

  // MARK: DNS

  private static func readDNS(_ message: Bytes) -> String? {
    _ = DNSReader.isSurely(message)
    var reader = DNSReader(message)
    guard let header = DNSHeader(message), reader.skipQuestions(min(header.questions, 8)) else { return nil }
    for _ in 0..<64 {
      guard let record = reader.record() else { return nil }
      withText(1024) { _ = $0.append(record, of: message) }
    }
    return nil
  }

  // MARK: Messages of text

  private static func readMessages(_ bytes: Bytes, _ kind: TextProtocol, _ cut: Int) -> String? {
    guard let whole = messages(bytes, kind, step: max(1, bytes.count)),
      let pieces = messages(bytes, kind, step: cut)
    else {
      return "\(kind): more events than bytes"
    }
    return whole == pieces ? nil : "\(kind): cut at \(cut) its lines are \(pieces), not \(whole)"
  }

  /// The offsets of all lines that a reader gives of a stream that comes in pieces.
  private static func messages(_ bytes: Bytes, _ kind: TextProtocol, step: Int) -> [Int]? {
    var reader = MessageReader()
    var lines: [Int] = []
    var (taken, end) = (0, 0)
    while end < bytes.count {
      end = min(bytes.count, end + step)
      let shown = bytes.slice(taken, end - taken)
      var position = 0
      var left = shown.count + 2
      events: while true {
        guard left > 0 else { return nil }
        left -= 1
        switch reader.next(shown, &position, kind) {
        case .start(_, let offset): lines.append(taken + offset)
        case .field, .endOfHeader: lines.append(taken + position)
        case .incomplete: break events
        case .other: return lines
        }
      }
      taken += position
    }
    return lines
  }
}

// dnssd: services that hosts look for and offer by multicast DNS (RFC 6762, RFC 6763).
import IPFIX
import Wire

/// `--plugin dnssd[:txt][,txtkeys=FILE]`.
struct DNSSD: FlowPlugin {
  static let name = "dnssd"
  static let summary = "names asked for and services offered by multicast DNS"
  static let protocols: FlowProtocols = .udp
  static let options = [
    PluginOption("txt", .flag, "also note the texts of TXT records"),
    PluginOption("txtkeys", .path, "note those texts whose keys FILE has: lines of service.domain,key,key,…"),
  ]

  struct State: FlowState {
    /// Distinct names that were asked for, each with `;` behind it.
    var queries = StoredBytes()
    /// What records said, see `Facts`, until `finish` makes `responses` of it.
    var facts = StoredBytes()
    var responses = StoredBytes()
    var factCount: UInt8 = 0
    var hasMessage = false
  }

  /// The most bytes of both fields.
  private static let longestQueries = 510
  private static let longestResponses = 509
  /// The most facts of a flow, in number and bytes, and the most entries of one section that are looked at.
  private static let mostFacts: UInt8 = 64
  private static let longestFacts = 2048
  private static let mostEntries = 128
  private static let longestName = 255
  private static let longestValue = 512
  /// An entry of `responses` before it is known whether it fits.
  private static let longestEntry = 2 * (longestName + longestValue)
  /// The largest file of keys, in bytes: it is searched for each TXT record.
  private static let largestKeys = 65536

  private let keepsTexts: Bool
  private let keys: Bytes

  init(options: borrowing PluginOptions) throws(FlowSetupError) {
    let file = try options.contents("txtkeys")
    guard (file?.count ?? 0) <= Self.largestKeys else {
      throw .plugin("option txtkeys of plugin dnssd: the file has more than \(Self.largestKeys) bytes")
    }
    keepsTexts = options.flag("txt") || file != nil
    keys = PluginOptions.keep(file ?? [])
  }

  func makeWorkerContext() -> DNSScratch { DNSScratch(count: Self.longestResponses + Self.longestEntry) }
  func freeWorkerContext(_ context: DNSScratch) { context.free() }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.protocolNumber == IPProtocol.udp,
      packet.sourcePort == DNSPort.multicast || packet.destinationPort == DNSPort.multicast
    else { return .done }
    if packet.payloadCaptured > 0, !packet.isLaterFragment { note(packet.payload, &state, &flow) }
    return .more
  }

  // MARK: Messages

  private func note(_ message: Bytes, _ state: inout State, _ flow: inout FlowContext<Self>) {
    guard let header = DNSHeader(message) else { return }
    state.hasMessage = true
    var reader = DNSReader(message)
    var left = Int(header.questions)
    while left > 0 {
      guard left > Int(header.questions) &- Self.mostEntries else { return }
      left &-= 1
      var name = flow.worker.text(limit: Self.longestName)
      guard reader.question(name: &name) != nil else { return }
      noteQuery(name.bytes, &state, &flow)
    }
    // What a query has as answers its sender knows already; what stands under authority it is about to claim.
    let (answers, authorities) = (Int(header.answers), Int(header.authorities))
    let total = answers &+ authorities &+ Int(header.additionals)
    var index = 0
    while index < min(total, Self.mostEntries), let record = reader.record() {
      if header.isResponse || index >= answers && index < answers &+ authorities {
        note(record, of: message, &state, &flow)
      }
      index &+= 1
    }
  }

  /// Adds a name to those asked for, where it is new and fits as a whole.
  private func noteQuery(_ name: Bytes, _ state: inout State, _ flow: inout FlowContext<Self>) {
    guard !name.isEmpty, !name.contains("arpa"),
      state.queries.count &+ name.count < Self.longestQueries,
      !flow.bytes(state.queries).hasEntry(name)
    else { return }
    guard flow.append(name, to: &state.queries, limit: Self.longestQueries) else { return }
    flow.append(Bytes(";"), to: &state.queries, limit: Self.longestQueries)
  }

  private func note(
    _ record: DNSRecord, of message: Bytes, _ state: inout State, _ flow: inout FlowContext<Self>
  ) {
    let scratch = flow.worker
    var owner = scratch.text(limit: Self.longestName)
    var value = scratch.text(from: Self.longestName, limit: Self.longestValue)
    let kind: Fact.Kind
    switch record.type {
    case DNSType.service:
      // | priority 2 | weight 2 | port 2 | target … |: RFC 2782
      guard record.data.count >= 6 else { return }
      kind = .service
      value.append(decimal: UInt32(record.data.load(UInt16.self, at: 4)))
      value.append(Self.separator)
      guard value.appendName(message, at: record.dataOffset &+ 6) != nil else { return }
    case DNSType.hostInformation:
      kind = .host
      value.append(strings: record.data, separator: UInt8(ascii: ":"), endsWithSeparator: false)
    case DNSType.text: kind = .text
    default: return
    }
    guard owner.appendName(message, at: record.owner) != nil, !owner.bytes.contains("arpa") else { return }
    if kind == .text, keepsTexts { appendTexts(record.data, of: owner.bytes, to: &value) }
    add(Fact(kind: kind, owner: owner.bytes, value: value.bytes), &state, &flow)
  }

  private static var separator: UInt8 { UInt8(ascii: ";") }

  /// Adds the strings of a TXT record, `key=value` each, that are wanted.
  private func appendTexts(_ data: Bytes, of owner: Bytes, to text: inout ScratchText) {
    guard !keys.isEmpty else {
      return text.append(strings: data, separator: UInt8(ascii: ":"), endsWithSeparator: true)
    }
    let wanted = keys.line(of: owner.service)
    var offset = 0
    while offset < data.count {
      let length = Int(data[offset])
      let string = data.dropFirst(offset &+ 1).prefix(length)
      let key = string.prefix(string.firstIndex(of: UInt8(ascii: "=")) ?? string.count)
      if wanted.hasWord(key) {
        text.append(string)
        text.append(UInt8(ascii: ":"))
      }
      offset &+= length &+ 1
    }
  }

  // MARK: Facts

  /// Keeps a fact that is not known yet.
  private func add(_ fact: Fact, _ state: inout State, _ flow: inout FlowContext<Self>) {
    guard state.factCount < Self.mostFacts, state.facts.count &+ fact.length <= Self.longestFacts else {
      return
    }
    var known = FactReader(flow.bytes(state.facts))
    while let other = known.next() {
      if other.kind == fact.kind, other.owner.isEqual(to: fact.owner), other.value.isEqual(to: fact.value) {
        return
      }
    }
    var head = flow.worker.text(from: Self.longestName &+ Self.longestValue, limit: Fact.headSize)
    head.append(fact.kind.rawValue)
    head.append(UInt8(clamping: fact.owner.count))
    head.append(UInt8(truncatingIfNeeded: fact.value.count &>> 8))
    head.append(UInt8(truncatingIfNeeded: fact.value.count))
    let isKept =
      flow.append(head.bytes, to: &state.facts) && flow.append(fact.owner, to: &state.facts)
      && flow.append(fact.value, to: &state.facts)
    // Behind half a fact there is no place for another one.
    state.factCount = isKept ? state.factCount &+ 1 : Self.mostFacts
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
    guard state.hasMessage else { return false }
    if !state.facts.isEmpty {
      var text = flow.worker.text(limit: Self.longestResponses &+ Self.longestEntry)
      Self.describe(flow.bytes(state.facts), in: &text)
      flow.store(text.bytes, in: &state.responses)
    }
    return true
  }

  /// Writes `owner;port;target;cpu:os;txt;` for each owner, of what was said last of it; whole entries only.
  private static func describe(_ facts: Bytes, in text: inout ScratchText) {
    var reader = FactReader(facts)
    while text.count < longestResponses {
      let before = reader.offset
      guard let fact = reader.next() else { return }
      if FactReader(facts.prefix(before)).last(nil, of: fact.owner) != nil { continue }
      let start = text.count
      text.append(fact.owner)
      text.append(separator)
      let all = FactReader(facts)
      if let service = all.last(.service, of: fact.owner) {
        text.append(service)
      } else {
        text.append(UInt8(ascii: "-"))
        text.append(UInt8(ascii: "1"))
        text.append(separator)
      }
      text.append(separator)
      if let host = all.last(.host, of: fact.owner) { text.append(host) }
      text.append(separator)
      if let strings = all.last(.text, of: fact.owner) { text.append(strings) }
      text.append(separator)
      if text.count > longestResponses { text.shorten(to: start) }
    }
  }

  // MARK: Fields

  static let queries = InformationElement(.cesnet, 826, "DNSSDQueries", .string)
  static let responses = InformationElement(.cesnet, 827, "DNSSDResponses", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.string(Self.queries, flow.bytes(state.queries).span)
    writer.string(Self.responses, flow.bytes(state.responses).span)
  }
}

// MARK: Facts

/// What one record said of its owner: `port;target` of SRV, `cpu:os` of HINFO, the strings of TXT.
///
///     | kind 1 | owner's length 1 | value's length 2 | owner … | value … |
private struct Fact: BitwiseCopyable {
  enum Kind: UInt8, BitwiseCopyable { case service, host, text }

  let kind: Kind
  let owner: Bytes
  let value: Bytes

  static let headSize = 4
  var length: Int { Fact.headSize &+ owner.count &+ value.count }
}

/// Reads facts from front to back.
private struct FactReader: BitwiseCopyable {
  private let facts: Bytes
  private(set) var offset = 0

  init(_ facts: Bytes) { self.facts = facts }

  mutating func next() -> Fact? {
    let rest = facts.dropFirst(offset)
    guard rest.count >= Fact.headSize, let kind = Fact.Kind(rawValue: rest[0]) else { return nil }
    let (owner, value) = (Int(rest[1]), Int(rest.load(UInt16.self, at: 2)))
    guard rest.count >= Fact.headSize &+ owner &+ value else { return nil }
    offset &+= Fact.headSize &+ owner &+ value
    return Fact(
      kind: kind, owner: rest.slice(Fact.headSize, owner), value: rest.slice(Fact.headSize &+ owner, value))
  }

  /// The value of the last fact of a kind, or of any, about `owner`.
  func last(_ kind: Fact.Kind?, of owner: Bytes) -> Bytes? {
    var reader = FactReader(facts)
    var value: Bytes?
    while let fact = reader.next() {
      if kind == nil || fact.kind == kind, fact.owner.isEqual(to: owner) { value = fact.value }
    }
    return value
  }
}

// MARK: Texts

extension Bytes {
  fileprivate func contains(_ text: StaticString) -> Bool {
    var index = 0
    while index &+ text.utf8CodeUnitCount <= count {
      if dropFirst(index).starts(with: text) { return true }
      index &+= 1
    }
    return false
  }

  /// Whether one of the entries that end in `;` is `name`.
  fileprivate func hasEntry(_ name: Bytes) -> Bool {
    var start = 0
    while let end = firstIndex(of: UInt8(ascii: ";"), from: start) {
      if slice(start, end &- start).isEqual(to: name) { return true }
      start = end &+ 1
    }
    return false
  }

  /// Of `instance._service._protocol.domain` what begins at the second-last underscore; empty where there are no two.
  fileprivate var service: Bytes {
    var index = count &- 1
    var underscores = 0
    while index >= 0 {
      if self[index] == UInt8(ascii: "_") { underscores &+= 1 }
      if underscores == 2 { return dropFirst(index) }
      index &-= 1
    }
    return prefix(0)
  }

  /// What follows `word` and a comma in the line that begins so; empty where none does.
  fileprivate func line(of word: Bytes) -> Bytes {
    var start = 0
    while !word.isEmpty, start < count {
      let end = firstIndex(of: UInt8(ascii: "\n"), from: start) ?? count
      let line = slice(start, end &- start)
      if line.prefix(word.count).isEqual(to: word), line.count > word.count,
        line[word.count] == UInt8(ascii: ",")
      {
        return line.dropFirst(word.count &+ 1)
      }
      start = end &+ 1
    }
    return prefix(0)
  }

  /// Whether one of the words between commas is `word`.
  fileprivate func hasWord(_ word: Bytes) -> Bool {
    var start = 0
    while !word.isEmpty, start < count {
      let end = firstIndex(of: UInt8(ascii: ","), from: start) ?? count
      let last = end > start && self[end &- 1] == UInt8(ascii: "\r") ? end &- 1 : end
      if slice(start, last &- start).isEqual(to: word) { return true }
      start = end &+ 1
    }
    return false
  }
}

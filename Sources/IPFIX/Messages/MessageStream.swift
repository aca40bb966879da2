// Turns records into the messages of one transport session: assigns templates, packs records, counts.
import Wire

/// What a message stream did; all counts only grow.
public struct MessageCounters: Sendable, Equatable {
  /// Data records of flows put into messages.
  public var records: UInt64 = 0
  /// Options records put into messages, repetitions included.
  public var options: UInt64 = 0
  /// Messages finished.
  public var messages: UInt64 = 0
  /// Octets of the finished messages.
  public var bytes: UInt64 = 0
  /// Template records put into messages, repetitions included.
  public var templates: UInt64 = 0
  /// Records or templates longer than the configured message length, sent in a longer message of their own.
  public var oversize: UInt64 = 0
  /// Records of which fields of variable length were shortened, because no message could hold them whole.
  public var shortened: UInt64 = 0
  /// Records dropped because no message can hold them, or because no template number was left.
  public var dropped: UInt64 = 0

  /// All zero.
  public init() {}
}

/// The IPFIX messages of one transport session (RFC 7011 section 3), packed from records as they come.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |         version = 10          |        message length         |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                export time (seconds since 1970)               |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |   sequence number: data records sent before, modulo 2^32      |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                     observation domain id                     |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |set id: 2, 3 templates, 256.. data|  set length, this header in|
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                    records, then more sets ...                |
///
/// Finished messages collect in one block of memory. When `isBatchFull` says so, or after `flush()`, the owner passes
/// `batch` to a transport and calls `removeBatch()`. Memory grows only when a batch is not taken or for messages
/// longer than usual; appending a record does not allocate.
public struct MessageStream: ~Copyable {
  /// How a stream packs its messages.
  public struct Configuration: Sendable {
    /// The observation domain id of every message.
    public var observationDomain: UInt32 = 1
    /// Octets to pack into a message, 64 to 65535.
    public var maximumLength = 1458
    /// Octets of a message for a single record that is longer; the transport's limit (UDP over IPv4: 65507).
    public var largestLength = 65535
    /// Finished messages that make a batch full.
    public var messagesPerBatch = 64
    /// Seconds after which all templates, and what describes the stream, are sent again (RFC 7011 section 8.4), nil for
    /// never (TCP, files).
    public var templateRefresh: UInt32?
    /// Messages after which the templates alone are sent again, whatever the time; nil for never.
    public var templateRefreshMessages: UInt64?
    /// Elements of the flow key: which fields of a template they are is said by `reportFlowKeys`. None for no such records.
    public var flowKeys: [InformationElement] = []
    /// Whether a message that the next record does not fit into is padded to `maximumLength`, so that messages have the
    /// same length and UDP can send them together. Templates with fields of variable length get a last field for that,
    /// paddingOctets, whose value is empty in all records but the last one of a message; else zeros follow the last
    /// record (RFC 7011 section 3.3.1), if they are too few to be one.
    public var padsMessages = false
    /// The enterprise number of Martlet's own elements.
    public var martletEnterpriseNumber: UInt32 = EnterpriseNumber.documentation

    /// The defaults: domain 1, 1458 octets, no refresh.
    public init() {}
  }

  static var headerLength: Int { 16 }
  /// Where the sequence number is in a message.
  static var sequenceOffset: Int { 8 }
  /// Numbers below are left to collectors that treat 256 and 257 specially, as ipfixprobe does.
  static var firstTemplate: Int { 258 }

  /// What was done so far.
  public internal(set) var counters = MessageCounters()
  /// Seconds since 1970 for the headers of messages finished from now on.
  public internal(set) var exportTime: UInt32 = 0

  let configuration: Configuration
  var keys = KeyTable()
  /// The encoded template records, one after the other.
  var templateOctets = OwnedBytes(count: 2048)
  /// The fields of all templates, one after the other.
  var templateFields = GrowableList<TemplateField>(capacity: 256)
  /// Where each template lies; its number is `firstTemplate` plus the index.
  var templates = GrowableList<TemplatePlace>()
  /// Templates that finished messages hold.
  var finishedTemplates = 0
  var lastRefresh: UInt32?
  /// Messages that were finished when templates were written the last time.
  var messagesAtRefresh: UInt64 = 0
  /// Options records that are repeated with the templates: encoded, one after the other.
  var descriptionOctets = OwnedBytes(count: 1024)
  /// Where each of them is.
  var descriptions = GrowableList<Description>()
  /// How many of them finished messages hold.
  var finishedDescriptions = 0
  /// The elements that were described.
  var describedElements = KeyTable(bits: 6)
  /// The codes of the flow key's elements.
  var flowKeys = GrowableList<UInt32>()
  /// Data records in finished messages of this session, options records among them.
  var sequence: UInt32 = 0
  /// The finished messages.
  @usableFromInline var messages: GrowableList<MessageBatch.Message>

  // The open message, in byte offsets from the beginning of `memory`.
  @usableFromInline var memory: OwnedBytes
  @usableFromInline var position: Int
  /// The record that is being moved to the next message.
  var moved: OwnedBytes
  /// Where the open message must end.
  @usableFromInline var limit: Int
  /// The open set's header; 0 when no set is open.
  @usableFromInline var setStart = 0
  @usableFromInline var openKey: UInt64 = 0
  @usableFromInline var recordsInMessage = 0
  /// Options records in the open message.
  var optionsInMessage = 0
  /// The open message is a long one for a single record.
  @usableFromInline var isOversize = false
  @usableFromInline let messagesPerBatch: Int
  @usableFromInline let martletEnterpriseNumber: UInt32
  var messageStart = 0
  /// The header of the open message's last closed set; 0 when it has none.
  var closedSet = 0
  /// Records of the open set end in an empty paddingOctets.
  @usableFromInline var endsInPadding = false
  /// Index of the template that `openKey` stands for.
  var openTemplate = 0

  /// An empty stream at sequence number 0 without templates.
  public init(_ configuration: Configuration = Configuration()) {
    var configuration = configuration
    configuration.largestLength = min(max(configuration.largestLength, 64), 65535)
    configuration.maximumLength = min(max(configuration.maximumLength, 64), configuration.largestLength)
    configuration.messagesPerBatch = max(configuration.messagesPerBatch, 1)
    self.configuration = configuration
    messagesPerBatch = configuration.messagesPerBatch
    martletEnterpriseNumber = configuration.martletEnterpriseNumber
    for element in configuration.flowKeys { flowKeys.append(element.code) }
    let batch = min(configuration.messagesPerBatch, 1 << 16) &+ 2
    memory = OwnedBytes(count: (batch &+ 1) &* configuration.maximumLength)
    moved = OwnedBytes(count: configuration.maximumLength)
    position = Self.headerLength
    limit = configuration.maximumLength
    messages = GrowableList(capacity: batch)
  }

  /// Adds one record. O(its length); a few nanoseconds besides when `key` is that of the record before.
  ///
  /// - Parameters:
  ///   - key: identifies the combination of fields. All records with one key have the same fields.
  ///   - describe: called when `key` is new, to collect the template; it must name the fields that `encode` writes.
  ///   - encode: writes the record's fields. It is called again when the record is too long for a message of usual length.
  @inlinable @inline(__always)
  public mutating func append(
    key: UInt64, describe: (inout TemplateBuilder) -> Void, encode: (inout DataRecordWriter) -> Void
  ) {
    if _slowPath(key != openKey || setStart == 0) {
      if !open(key) {
        var builder = TemplateBuilder(martletEnterpriseNumber: martletEnterpriseNumber)
        describe(&builder)
        guard define(key, &builder.record) else { return }
      }
    }
    repeat {
      // Beyond the message's end there is room for the next one's, in most cases: what is encoded is moved there.
      var writer = DataRecordWriter(
        memory, from: position, to: memory.count, martletEnterpriseNumber: martletEnterpriseNumber)
      encode(&writer)
      if endsInPadding { writer.store(0 as UInt8) }
      if _fastPath(!writer.overflowed) {
        let end = writer.cursor - memory.base
        if _fastPath(end <= limit) { position = end } else if !moveToNextMessage(end) { continue }
        recordsInMessage &+= 1
        if _slowPath(isOversize) { finishLongMessage() }
        return
      }
    } while makeRoom()
  }

  /// True when enough messages are finished that the owner should send `batch` and call `removeBatch()`.
  @inlinable @inline(__always)
  public var isBatchFull: Bool { messages.count >= messagesPerBatch }

  /// The finished messages; valid until the stream is changed.
  public var batch: MessageBatch {
    MessageBatch(contents: memory.view(0, messageStart), messages: messages.elements)
  }

  /// Forgets the finished messages; the unfinished one stays open. O(its length).
  public mutating func removeBatch() {
    guard messageStart > 0 else { return }
    // The room for an empty message's header may lie behind the memory that there is.
    memory.move(from: messageStart, to: 0, count: min(position, memory.count) &- messageStart)
    if setStart != 0 { setStart &-= messageStart }
    if closedSet != 0 { closedSet &-= messageStart }
    position &-= messageStart
    limit &-= messageStart
    messageStart = 0
    messages.removeAll()
  }

  /// Finishes the open message, if there is something in it, so that it becomes part of `batch`.
  public mutating func flush() { finishMessage() }

  /// True when records wait in a message that is not finished.
  public var hasOpenMessage: Bool { position > messageStart &+ Self.headerLength }

  /// Data records in the message that is not finished.
  public var openRecords: UInt64 { UInt64(truncatingIfNeeded: recordsInMessage) }

  /// Tells the time and repeats the templates when they are older than the configured refresh (RFC 7011 section 8.4), or
  /// after as many messages as are configured.
  ///
  /// - Parameter now: seconds since 1970; may jump.
  public mutating func tick(now: UInt32) {
    exportTime = now
    guard !templates.isEmpty else { return }
    if let count = configuration.templateRefreshMessages, counters.messages &- messagesAtRefresh >= count {
      writeTemplates { _ in true }
      closeSet()
      messagesAtRefresh = counters.messages
    }
    guard let refresh = configuration.templateRefresh else { return }
    guard let last = lastRefresh, now >= last else {
      lastRefresh = now
      return
    }
    if now &- last >= refresh { repeatTemplates() }
  }

  /// Writes all templates and descriptions again, without a new session: for a collector that may have missed or forgotten
  /// them. What describes elements goes before the templates that have them.
  public mutating func repeatTemplates() {
    lastRefresh = exportTime
    repeatAll()
    reportFlowKeys()
    messagesAtRefresh = counters.messages
  }

  /// Writes all templates and descriptions.
  private mutating func repeatAll() {
    writeTemplates { $0 > 0 }
    repeatDescriptions()
    writeTemplates { $0 == 0 }
    closeSet()
  }

  /// Writes the templates with as many scope fields as `isWanted` says.
  private mutating func writeTemplates(_ isWanted: (_ scopeCount: Int) -> Bool) {
    var index = 0
    while index < templates.count {
      if isWanted(templates[index].scopeCount) { writeTemplate(index) }
      index &+= 1
    }
  }

  /// The numbers of all templates so far, in their order.
  public var templateIdentifiers: Range<Int> {
    Self.firstTemplate..<Self.firstTemplate &+ min(templates.count, 65536 - Self.firstTemplate)
  }

  /// The fields of a template with what their values mean, in the order of the records; none for a number that is not
  /// among `templateIdentifiers`. Allocates.
  public func fields(ofTemplate identifier: Int) -> [TemplateField] {
    guard templateIdentifiers.contains(identifier) else { return [] }
    let place = templates[identifier &- Self.firstTemplate]
    var fields: [TemplateField] = []
    var index = place.firstField
    while index < place.firstField &+ place.fieldCount {
      fields.append(templateFields[index])
      index &+= 1
    }
    return fields
  }

  /// Starts a new transport session: the sequence restarts at 0 and all templates are written before any data.
  ///
  /// Send `batch` and call `removeBatch()` first, after `flush()`: messages already finished keep their numbers.
  public mutating func reannounce() {
    finishMessage()
    sequence = 0
    repeatTemplates()
  }

  /// A message, or several, with every template and description that finished messages hold, for a transport that opens a
  /// new session on its own and then numbers its messages itself. The numbers are such that the first record behind has
  /// number 0; allocates.
  public borrowing func announcement() -> SharedBytes {
    var stream = MessageStream(configuration)
    stream.exportTime = exportTime
    stream.addTemplates(of: self, finishedTemplates)
    stream.addDescriptions(of: self, finishedDescriptions)
    stream.repeatAll()
    // Only where the template has its number here, too.
    if stream.keys.find(Self.key(kind: OptionsKind.flowKeys.rawValue)) >= 0 { stream.reportFlowKeys() }
    stream.flush()
    let records = stream.sequence
    var index = 0
    while index < stream.messages.count {
      let place = stream.messages[index].offset &+ Self.sequenceOffset
      stream.memory.store(stream.memory.load(UInt32.self, at: place) &- records, at: place)
      index &+= 1
    }
    return SharedBytes(copying: stream.batch.contents)
  }
}

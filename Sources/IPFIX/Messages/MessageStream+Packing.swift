// The cold half of the message stream: opening and closing sets and messages, writing templates.
import Wire

extension MessageStream {
  /// Opens a data set for a known key; false when the key is new.
  @usableFromInline @inline(never)
  mutating func open(_ key: UInt64) -> Bool {
    let index = keys.find(key)
    guard index >= 0 else { return false }
    open(key, index)
    return true
  }

  private mutating func open(_ key: UInt64, _ index: Int) {
    closeSet()
    openKey = key
    openTemplate = index
    endsInPadding = templates[index].hasField
    openSet(UInt16(clamping: Self.firstTemplate &+ index))
  }

  /// Where a template's record is, and how its sets are padded.
  struct TemplatePlace: BitwiseCopyable {
    /// In `templateOctets`.
    var offset: Int
    /// Its octets.
    var length: Int
    /// Zeros behind the last data record must be fewer than this, or they would be a record.
    var shortestRecord: Int
    /// Its records end in paddingOctets.
    var hasField: Bool
    /// Where its fields begin in `templateFields`, and how many there are.
    var firstField: Int
    var fieldCount: Int
    /// Fields of the scope, 0 where records are not options records.
    var scopeCount = 0
    /// The number of the options records' kind, else 0.
    var kind: UInt8 = 0
    /// Which fields make up the flow key: bit n is field n; 0 for none.
    var flowKeys: UInt64 = 0
  }

  /// Assigns the next template number to a key, writes the template and opens a data set; false: record dropped.
  @usableFromInline @inline(never)
  mutating func define(_ key: UInt64, _ record: inout TemplateRecord) -> Bool {
    let identifier = Self.firstTemplate &+ templates.count
    let isEmpty = record.fieldCount == 0
    let hasField = configuration.padsMessages && record.isVariable
    if hasField { record.append(.paddingOctets, .padding) }
    record.setIdentifier(UInt16(clamping: identifier))
    // A template without fields would be a withdrawal (RFC 7011 section 8.1).
    guard identifier <= 65535, !isEmpty,
      Self.headerLength &+ 4 &+ record.bytes.count <= configuration.largestLength
    else {
      counters.dropped &+= 1
      return false
    }
    let index = templates.count
    keys.insert(key, index)
    add(record, hasField: hasField)
    writeTemplate(index)
    open(key, index)
    return true
  }

  /// Keeps a template's record under the next number; `kind` is that of options records.
  mutating func add(_ record: borrowing TemplateRecord, hasField: Bool, kind: OptionsKind? = nil) {
    add(
      record.bytes, fields: record.fields, from: 0,
      TemplatePlace(
        offset: 0, length: 0, shortestRecord: record.shortestRecord, hasField: hasField, firstField: 0,
        fieldCount: record.fields.count, scopeCount: record.scopeCount, kind: kind?.rawValue ?? 0,
        flowKeys: record.scopeCount == 0 ? flowKeys(among: record.fields) : 0))
  }

  /// Keeps a template's record under the next number, with all that `place` says of it but where it lies.
  private mutating func add(
    _ record: Bytes, fields: borrowing GrowableList<TemplateField>, from firstField: Int,
    _ place: TemplatePlace
  ) {
    let last = templates.isEmpty ? nil : templates[templates.count &- 1]
    var place = place
    place.offset = last.map { $0.offset &+ $0.length } ?? 0
    place.length = record.count
    place.firstField = templateFields.count
    let end = place.offset &+ record.count
    if end > templateOctets.count { templateOctets.grow(to: end &* 2, keeping: place.offset) }
    templateOctets.copy(record, to: place.offset)
    templates.append(place)
    var index = firstField
    while index < firstField &+ place.fieldCount {
      templateFields.append(fields[index])
      index &+= 1
    }
  }

  /// Keeps the first `count` templates of another stream, in a stream without templates.
  mutating func addTemplates(of other: borrowing MessageStream, _ count: Int) {
    var index = 0
    while index < count {
      let place = other.templates[index]
      add(
        other.templateOctets.view(place.offset, place.length), fields: other.templateFields,
        from: place.firstField, place)
      if place.kind != 0 { keys.insert(Self.key(kind: place.kind), index) }
      index &+= 1
    }
  }

  /// Puts one template record into the open message, into the open template set if there is one. Options templates have a
  /// set each: nfcapd 1.7 reads only the first one of a set.
  mutating func writeTemplate(_ index: Int) {
    let place = templates[index]
    let continues = place.scopeCount == 0 && setStart != 0 && load16(setStart) == 2
    if !continues { closeSet() }
    if limit &- position < place.length &+ (continues ? 0 : 4) {
      finishMessage()
      if limit &- position < place.length &+ 4 {
        counters.oversize &+= 1
        extend(to: Self.headerLength &+ 4 &+ place.length)
      }
    }
    if setStart == 0 { openSet(place.scopeCount == 0 ? 2 : 3) }
    memory.copy(templateOctets.view(place.offset, place.length), to: position)
    position &+= place.length
    counters.templates &+= 1
    if limit &- messageStart > configuration.maximumLength { finishMessage() }
  }

  /// Finishes the open message without the record that lies behind it up to `end` (exclusive), and begins the next one with
  /// that; false, and nothing is changed, where it does not fit into one of the usual length.
  @usableFromInline @inline(never)
  mutating func moveToNextMessage(_ end: Int) -> Bool {
    let length = end &- position
    guard !isOversize, length <= configuration.maximumLength &- Self.headerLength &- 4, hasOpenMessage else {
      return false
    }
    // What fills the message up, and the next one's header, are written where the record lies.
    moved.copy(memory.view(position, length), to: 0)
    closeSet()
    pad()
    finishMessage()
    openSet(UInt16(clamping: Self.firstTemplate &+ openTemplate))
    memory.copy(moved.view(0, length), to: position)
    position &+= length
    return true
  }

  /// Finds room for a record that did not fit: a new message, then a longer one, then more than any message has, where
  /// `finishLongMessage` shortens it; false when it is too long even for that.
  @usableFromInline @inline(never)
  mutating func makeRoom() -> Bool {
    closeSet()
    if hasOpenMessage {
      pad()
      finishMessage()
    } else if isOversize, limit &- messageStart > configuration.largestLength {
      dropLongRecord()
      return false
    } else {
      let isTooLong = isOversize || configuration.largestLength == configuration.maximumLength
      extend(to: isTooLong ? longestBeforeShortening : configuration.largestLength)
      isOversize = true
    }
    openSet(UInt16(clamping: Self.firstTemplate &+ openTemplate))
    return true
  }

  /// Opens a set; no set may be open.
  mutating func openSet(_ identifier: UInt16) {
    // Even an empty record needs a byte behind the set's header.
    if limit &- position < 5 {
      pad()
      finishMessage()
    }
    setStart = position
    store16(identifier, at: position)
    position &+= 4
  }

  /// Fills in the length of the open set, or takes back its header if nothing follows it.
  mutating func closeSet() {
    guard setStart != 0 else { return }
    if position == setStart &+ 4 {
      position = setStart
    } else {
      store16(UInt16(clamping: position &- setStart), at: setStart &+ 2)
      closedSet = setStart
    }
    setStart = 0
  }

  /// Fills in the header of the open message and starts the next one; nothing happens when it is empty.
  @usableFromInline @inline(never)
  mutating func finishMessage() {
    closeSet()
    guard hasOpenMessage else { return }
    let length = position &- messageStart
    store16(10, at: messageStart)
    store16(UInt16(clamping: length), at: messageStart &+ 2)
    memory.store(exportTime, at: messageStart &+ 4)
    memory.store(sequence, at: messageStart &+ Self.sequenceOffset)
    memory.store(configuration.observationDomain, at: messageStart &+ 12)
    messages.append(
      MessageBatch.Message(
        offset: messageStart, length: length, records: recordsInMessage, options: optionsInMessage))
    sequence &+= UInt32(truncatingIfNeeded: recordsInMessage &+ optionsInMessage)
    counters.records &+= UInt64(truncatingIfNeeded: recordsInMessage)
    counters.options &+= UInt64(truncatingIfNeeded: optionsInMessage)
    counters.messages &+= 1
    counters.bytes &+= UInt64(truncatingIfNeeded: length)
    finishedTemplates = templates.count
    finishedDescriptions = descriptions.count
    if isOversize { counters.oversize &+= 1 }
    recordsInMessage = 0
    optionsInMessage = 0
    isOversize = false
    closedSet = 0
    messageStart = position
    position &+= Self.headerLength
    extend(to: configuration.maximumLength)
  }

  /// Lets the open message grow to `length` octets; allocates when the block of memory is too short for that.
  mutating func extend(to length: Int) {
    limit = messageStart &+ length
    guard limit > memory.count else { return }
    // The room for the next message's header, which `position` is behind, may lie outside of the memory that there is. Twice
    // as much, because a capture's end gives all its records at once, and each growth copies what is there.
    memory.grow(to: max(limit &+ configuration.largestLength, memory.count &* 2), keeping: position)
  }

  func load16(_ offset: Int) -> UInt16 { memory.load(UInt16.self, at: offset) }

  mutating func store16(_ value: UInt16, at offset: Int) { memory.store(value, at: offset) }
}

// The cold half of the message stream: opening and closing sets and messages, writing templates.

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
    endsInPadding = paddings[index].hasField
    openSet(UInt16(Self.firstTemplate + index))
  }

  /// Assigns the next template number to a key, writes the template and opens a data set; false: record dropped.
  @usableFromInline @inline(never)
  mutating func define(_ key: UInt64, _ fields: [FieldSpecifier]) -> Bool {
    let identifier = Self.firstTemplate + templates.count
    var fields = fields
    let isVariable = fields.contains { $0.length == FieldSpecifier.variableLength }
    let hasField = configuration.padsMessages && isVariable
    if hasField { fields.append(.paddingOctets) }
    let template = Template(identifier: UInt16(clamping: identifier), fields: fields)
    let record = template.record
    // A template without fields would be a withdrawal (RFC 7011 section 8.1).
    guard identifier <= 65535, !fields.isEmpty,
      Self.headerLength + 4 + record.count <= configuration.largestLength
    else {
      counters.dropped += 1
      return false
    }
    let index = templates.count
    keys.insert(key, index)
    templates.append(record)
    paddings.append(Padding(hasField: hasField, shortestRecord: template.shortestRecord))
    writeTemplate(index)
    open(key, index)
    return true
  }

  /// Puts one template record into the open message, into the open template set if there is one.
  mutating func writeTemplate(_ index: Int) {
    let record = templates[index]
    let continues = setStart != 0 && load16(setStart) == 2
    if !continues { closeSet() }
    if limit - position < record.count + (continues ? 0 : 4) {
      finishMessage()
      if limit - position < record.count + 4 {
        counters.oversize += 1
        extend(to: Self.headerLength + 4 + record.count)
      }
    }
    if setStart == 0 { openSet(2) }
    record.withUnsafeBytes { source in
      guard let base = source.baseAddress else { return }
      (memory + position).copyMemory(from: base, byteCount: source.count)
    }
    position += record.count
    counters.templates += 1
    if limit - messageStart > configuration.maximumLength { finishMessage() }
  }

  /// Finds room for a record that did not fit: a new message, then a longer one; false when it is too long for any.
  @usableFromInline @inline(never)
  mutating func makeRoom() -> Bool {
    closeSet()
    if hasOpenMessage {
      pad()
      finishMessage()
    } else if isOversize || configuration.largestLength == configuration.maximumLength {
      counters.dropped += 1
      isOversize = false
      limit = messageStart + configuration.maximumLength
      return false
    } else {
      extend(to: configuration.largestLength)
      isOversize = true
    }
    openSet(UInt16(Self.firstTemplate + openTemplate))
    return true
  }

  private mutating func openSet(_ identifier: UInt16) {
    // Even an empty record needs a byte behind the set's header.
    if limit - position < 5 {
      pad()
      finishMessage()
    }
    setStart = position
    store16(identifier, at: position)
    position += 4
  }

  /// Fills in the length of the open set, or takes back its header if nothing follows it.
  mutating func closeSet() {
    guard setStart != 0 else { return }
    if position == setStart + 4 {
      position = setStart
    } else {
      store16(UInt16(position - setStart), at: setStart + 2)
      closedSet = setStart
    }
    setStart = 0
  }

  /// Fills in the header of the open message and starts the next one; nothing happens when it is empty.
  @usableFromInline @inline(never)
  mutating func finishMessage() {
    closeSet()
    guard hasOpenMessage else { return }
    let length = position - messageStart
    store16(10, at: messageStart)
    store16(UInt16(length), at: messageStart + 2)
    store32(exportTime, at: messageStart + 4)
    store32(sequence, at: messageStart + 8)
    store32(configuration.observationDomain, at: messageStart + 12)
    messages.append(MessageBatch.Message(offset: messageStart, length: length, records: recordsInMessage))
    finishedMessages += 1
    sequence &+= UInt32(truncatingIfNeeded: recordsInMessage)
    counters.records += UInt64(recordsInMessage)
    counters.messages += 1
    counters.bytes += UInt64(length)
    finishedTemplates = templates.count
    if isOversize { counters.oversize += 1 }
    recordsInMessage = 0
    isOversize = false
    closedSet = 0
    messageStart = position
    position += Self.headerLength
    extend(to: configuration.maximumLength)
  }

  /// Lets the open message grow to `length` octets; allocates when the block of memory is too short for that.
  private mutating func extend(to length: Int) {
    limit = messageStart + length
    guard limit > capacity else { return }
    // The room for the next message's header, which `position` is behind, may lie outside of the memory that there is.
    let written = min(position, capacity)
    capacity = limit + configuration.largestLength
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 64)
    larger.copyMemory(from: memory, byteCount: written)
    memory.deallocate()
    memory = larger
  }

  func load16(_ offset: Int) -> UInt16 {
    UInt16(bigEndian: memory.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  func store16(_ value: UInt16, at offset: Int) {
    memory.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
  }

  private func store32(_ value: UInt32, at offset: Int) {
    memory.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
  }
}

// What a stream says of itself: options templates and options records, among the flows' records and numbered with them.
import Wire

extension MessageStream {
  /// An options record that is repeated with the templates.
  struct Description: BitwiseCopyable {
    /// In `descriptionOctets`.
    var offset: Int
    /// Its octets.
    var length: Int
    /// The index of its template.
    var template: Int
  }

  /// Writes an options record, and again with the templates and in each new session. O(its length); allocates.
  public mutating func describe(_ record: OptionsRecord) {
    guard let template = template(of: record) else { return }
    let octets = Self.encode(record)
    let last = descriptions.isEmpty ? nil : descriptions[descriptions.count &- 1]
    let offset = last.map { $0.offset &+ $0.length } ?? 0
    let end = offset &+ octets.count
    if end > descriptionOctets.count { descriptionOctets.grow(to: end &* 2, keeping: offset) }
    octets.withBytes { descriptionOctets.copy($0, to: offset) }
    descriptions.append(Description(offset: offset, length: octets.count, template: template))
    write(octets, template: template)
    closeSet()
  }

  /// Writes options records in the place of those of `kinds` that were described, which are not repeated any more. O(the length of
  /// all descriptions); allocates.
  public mutating func redescribe(_ kinds: [OptionsKind], by records: [OptionsRecord]) {
    // What is taken away must not be counted among those that a message holds.
    finishMessage()
    var kept = 0
    var end = 0
    var index = 0
    while index < descriptions.count {
      var place = descriptions[index]
      index &+= 1
      if kinds.contains(where: { $0.rawValue == templates[place.template].kind }) { continue }
      descriptionOctets.move(from: place.offset, to: end, count: place.length)
      place.offset = end
      end &+= place.length
      descriptions[kept] = place
      kept &+= 1
    }
    descriptions.truncate(to: kept)
    finishedDescriptions = kept
    for record in records { describe(record) }
  }

  /// Writes an options record once. O(its length); allocates.
  public mutating func report(_ record: OptionsRecord) {
    guard let template = template(of: record) else { return }
    write(Self.encode(record), template: template)
    closeSet()
  }

  /// Writes the records of `describe` again, without templates.
  public mutating func repeatDescriptions() {
    closeSet()
    var index = 0
    while index < descriptions.count {
      let place = descriptions[index]
      write(
        SharedBytes(copying: descriptionOctets.view(place.offset, place.length)), template: place.template)
      index &+= 1
    }
    closeSet()
  }

  /// Keeps the first `count` descriptions of another stream whose templates are here, in a stream without any.
  mutating func addDescriptions(of other: borrowing MessageStream, _ count: Int) {
    var index = 0
    while index < count {
      let place = other.descriptions[index]
      index &+= 1
      guard place.template < templates.count else { continue }
      let end = place.offset &+ place.length
      if end > descriptionOctets.count { descriptionOctets.grow(to: end &* 2, keeping: place.offset) }
      descriptionOctets.copy(other.descriptionOctets.view(place.offset, place.length), to: place.offset)
      descriptions.append(place)
    }
  }

  // MARK: Elements and flow keys

  /// Says what an element of an enterprise is (RFC 5610), unless that was said. Reverse elements of RFC 5103 mean what the forward
  /// ones of IANA do, and RFC 5610 has no records for them. To be called before the first record that has the element.
  public mutating func describe(_ element: InformationElement) {
    let number = element.enterpriseNumber(martlet: martletEnterpriseNumber)
    guard number != EnterpriseNumber.iana, number != EnterpriseNumber.reverse else { return }
    let code = UInt64(element.forward.code)
    guard describedElements.find(code) < 0 else { return }
    describedElements.insert(code, 0)
    describe(.elementType(element, enterpriseNumber: number))
  }

  /// Which of the first 64 fields are elements of the flow key: bit n is field n.
  func flowKeys(among fields: borrowing GrowableList<TemplateField>) -> UInt64 {
    var indicator: UInt64 = 0
    var index = 0
    while index < min(fields.count, 64) {
      let code = fields[index].element.code
      var key = 0
      while key < flowKeys.count {
        if flowKeys[key] == code { indicator |= 1 &<< UInt64(truncatingIfNeeded: index) }
        key &+= 1
      }
      index &+= 1
    }
    return indicator
  }

  /// Says of each template so far which of its fields are the flow key (RFC 7011 section 4.4).
  public mutating func reportFlowKeys() {
    var index = 0
    let count = templates.count
    while index < count {
      let indicator = templates[index].flowKeys
      if indicator != 0 {
        report(.flowKeys(template: UInt16(clamping: Self.firstTemplate &+ index), indicator: indicator))
      }
      index &+= 1
    }
  }

  // MARK: Encoding

  /// What stands for a kind among the keys of templates; those of flows' records have no such high bits.
  static func key(kind: UInt8) -> UInt64 { 1 << 63 | UInt64(kind) }

  /// The index of the record's template, which is written if it is new; nil where no number is left.
  private mutating func template(of record: OptionsRecord) -> Int? {
    let key = Self.key(kind: record.kind.rawValue)
    let known = keys.find(key)
    guard known < 0 else { return known }
    let identifier = Self.firstTemplate &+ templates.count
    guard identifier <= 65535 else { return nil }
    var template = TemplateRecord(scopeCount: record.kind.scopeCount)
    for field in record.fields {
      template.append(
        FieldSpecifier(
          identifier: field.element.identifier, length: field.length,
          enterpriseNumber: field.element.enterpriseNumber(martlet: martletEnterpriseNumber)),
        TemplateField(element: field.element, length: field.length, isList: false))
    }
    template.setIdentifier(UInt16(clamping: identifier))
    let index = templates.count
    keys.insert(key, index)
    add(template, hasField: false, kind: record.kind)
    writeTemplate(index)
    closeSet()
    return index
  }

  /// The record's octets: fixed fields as they are, variable ones behind their length.
  private static func encode(_ record: OptionsRecord) -> SharedBytes {
    // An array checks each index by a trap, its buffer does not: these are all below the count.
    record.fields.withUnsafeBufferPointer { fields in
      var length = 0
      var index = 0
      while index < fields.count {
        length &+= fields[index].size
        index &+= 1
      }
      var memory = OwnedBytes(count: length)
      var position = 0
      index = 0
      while index < fields.count {
        fields[index].write(to: &memory, at: position)
        position &+= fields[index].size
        index &+= 1
      }
      return SharedBytes(memory, count: length)
    }
  }

  /// Puts an encoded options record into the open message, into the open set if that is its template's.
  private mutating func write(_ octets: SharedBytes, template index: Int) {
    let identifier = UInt16(clamping: Self.firstTemplate &+ index)
    let isAlone = OptionsKind(rawValue: templates[index].kind)?.isAloneInSet ?? false
    if setStart != 0, isAlone || load16(setStart) != identifier { closeSet() }
    let needed = octets.count &+ (setStart == 0 ? 4 : 0)
    if limit &- position < needed {
      finishMessage()
      // Of a kind that `--mtu` has no room for: a longer message, like that of a long template.
      if limit &- position < octets.count &+ 4 {
        counters.oversize &+= 1
        extend(to: Self.headerLength &+ 4 &+ octets.count)
      }
    }
    if setStart == 0 { openSet(identifier) }
    octets.withBytes { memory.copy($0, to: position) }
    position &+= octets.count
    optionsInMessage &+= 1
    if limit &- messageStart > configuration.maximumLength { finishMessage() }
  }
}

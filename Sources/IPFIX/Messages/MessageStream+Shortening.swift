// A record that is longer than any message: what has no end of its own is cut, so that the rest arrives.
import Wire

extension MessageStream {
  /// A field of variable length of a record that is too long.
  private struct VariableField: BitwiseCopyable {
    /// Where its length stands.
    var offset: Int
    /// The octets of the length: 1 or 3.
    var prefix: Int
    /// Its octets, and how many of them stay.
    var length: Int
    var kept: Int
    /// Whether entries of a list may be left out, or characters of a text.
    var isList: Bool
    var isText: Bool
  }

  /// The room in which a record that no message can hold is encoded: the longest message for all fixed fields, and the longest
  /// field for each variable one.
  var longestBeforeShortening: Int {
    let place = templates[openTemplate]
    return configuration.largestLength &+ place.fieldCount &* (65535 &+ 3)
  }

  /// Finishes the open message, which holds one record that is longer than usual, and shortens it to what a message can hold.
  @usableFromInline @inline(never)
  mutating func finishLongMessage() {
    if position &- messageStart > configuration.largestLength {
      guard shorten() else { return dropLongRecord() }
      counters.shortened &+= 1
    }
    finishMessage()
  }

  /// Gives up the record of the open message, which no message can hold.
  mutating func dropLongRecord() {
    counters.dropped &+= 1
    isOversize = false
    recordsInMessage = 0
    setStart = 0
    position = messageStart &+ Self.headerLength
    extend(to: configuration.maximumLength)
  }

  /// Cuts the variable fields of the open message's only record that are longer than some length to that length, the greatest
  /// with which the message is no longer than allowed; false when there is none. Texts end behind a whole character, lists
  /// behind a whole entry.
  /// - Complexity: O(octets)
  private mutating func shorten() -> Bool {
    let excess = position &- messageStart &- configuration.largestLength
    var fields = variableFields()
    // Halving: with `low` it fits, if with any; with `high` it does not.
    var (low, high) = (0, 65536)
    while high &- low > 1 {
      let middle = (low &+ high) / 2
      if saved(by: middle, fields) >= excess { low = middle } else { high = middle }
    }
    guard saved(by: low, fields) >= excess else { return false }
    var index = 0
    while index < fields.count {
      fields[index].kept = boundary(of: fields[index], low)
      index &+= 1
    }
    compact(fields)
    return true
  }

  /// How many octets go when no variable field is longer than `length`.
  private func saved(by length: Int, _ fields: borrowing GrowableList<VariableField>) -> Int {
    var sum = 0
    var index = 0
    while index < fields.count {
      sum &+= fields[index].length &- boundary(of: fields[index], length)
      index &+= 1
    }
    return sum
  }

  /// How many octets of a field, at most `wanted`, may stay without cutting a character or an entry in two; for a list its
  /// header at least.
  private func boundary(of field: VariableField, _ wanted: Int) -> Int {
    let start = field.offset &+ field.prefix
    var kept = wanted
    guard kept < field.length else { return field.length }
    if field.isText {
      // Octets 10xxxxxx go on with a character, which has at most four.
      var steps = 0
      while kept > 0, steps < 3, memory.load(UInt8.self, at: start &+ kept) & 0xC0 == 0x80 {
        kept &-= 1
        steps &+= 1
      }
    } else if field.isList {
      let header = load16(start &+ 1) & 0x8000 == 0 ? 5 : 9
      let width = max(1, Int(load16(start &+ 3)))
      kept = kept <= header ? header : header &+ (kept &- header) / width &* width
    }
    return min(kept, field.length)
  }

  /// The variable fields of the open message's only record.
  private func variableFields() -> GrowableList<VariableField> {
    var fields = GrowableList<VariableField>()
    let place = templates[openTemplate]
    var offset = setStart &+ 4
    var index = place.firstField
    while index < place.firstField &+ place.fieldCount, offset < position {
      let field = templateFields[index]
      index &+= 1
      guard field.length == FieldSpecifier.variableLength else {
        offset &+= Int(field.length)
        continue
      }
      let short = Int(memory.load(UInt8.self, at: offset))
      let prefix = short == 255 ? 3 : 1
      let length = short == 255 ? Int(load16(offset &+ 1)) : short
      fields.append(
        VariableField(
          offset: offset, prefix: prefix, length: length, kept: length, isList: field.isList,
          isText: !field.isList && field.element.type == .string))
      offset &+= prefix &+ length
    }
    return fields
  }

  /// Moves together what stays of the open message's only record.
  private mutating func compact(_ fields: borrowing GrowableList<VariableField>) {
    var source = setStart &+ 4
    var target = source
    var index = 0
    while index < fields.count {
      let field = fields[index]
      let end = field.offset &+ field.prefix &+ field.kept
      if field.prefix == 1 {
        memory.store(UInt8(truncatingIfNeeded: field.kept), at: field.offset)
      } else {
        store16(UInt16(clamping: field.kept), at: field.offset &+ 1)
      }
      memory.move(from: source, to: target, count: end &- source)
      target &+= end &- source
      source = field.offset &+ field.prefix &+ field.length
      index &+= 1
    }
    memory.move(from: source, to: target, count: position &- source)
    position = target &+ (position &- source)
  }
}

// The buffers of one column of the batch at hand. Rows that get no value cost nothing: a column is as long as its last value until
// the batch ends, and what lies between is zero already, which is null.
import CArrow
import Glibc

/// Two words as 16 octets in the order of the network.
struct OctetPair {
  private let words: InlineArray<2, UInt64>

  init(_ high: UInt64, _ low: UInt64) { words = [high.bigEndian, low.bigEndian] }

  /// Calls `body` with the last `count` octets, at most 16.
  @inline(__always)
  func withLast<Result>(_ count: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    words.span.withUnsafeBytes { octets in
      let count = min(max(count, 0), 16)
      return body(UnsafeRawBufferPointer(start: octets.baseAddress.map { $0 + (16 &- count) }, count: count))
    }
  }
}

/// One column's buffers. A plain value; the writer that has it frees them or gives them away.
struct ArrowColumn {
  /// How values lie.
  enum Kind {
    case fixed
    case octets
    case names
    case list
  }

  /// `InformationElement.code`; `UInt32.max` for the columns that have no element.
  let code: UInt32
  let kind: Kind
  let type: ArrowType
  /// Octets of a value or of a list's entry.
  let width: Int
  /// A bit for each row.
  private var validity = RawColumn()
  /// Values by row, or one behind the other where they have offsets.
  private var values = RawColumn()
  /// Where the values of a row begin.
  private var offsets = RawColumn()
  private var texts = StringTable()
  /// Rows that there is room for.
  private var room = 0
  /// Rows with a value.
  private var valid = 0
  /// Octets, or a list's entries, that are behind the offsets.
  private var entries = 0

  init(_ field: ArrowField) {
    code = field.element?.code ?? .max
    type = field.type
    width = field.type.width
    kind =
      if field.isList { .list } else {
        switch field.type {
        case .names: .names
        case .text, .binary: .octets
        default: .fixed
        }
      }
  }

  /// Octets of this column that offsets count.
  var length: Int { max(values.count, texts.octets.count) }

  // MARK: Values

  /// Notes that a row has a value; false where there is no memory.
  @inline(__always)
  private mutating func mark(_ row: Int) -> Bool {
    if row >= room { guard makeRoom(row) else { return false } }
    guard let bits = validity.base else { return false }
    let octet = bits + row / 8
    // Safe: `makeRoom` has a bit for each row below `room`.
    let old = octet.loadUnaligned(as: UInt8.self)
    octet.storeBytes(of: old | 1 &<< UInt8(truncatingIfNeeded: row & 7), as: UInt8.self)
    valid &+= 1
    return true
  }

  @inline(never)
  private mutating func makeRoom(_ row: Int) -> Bool {
    let rows = max(row &+ 1, room &* 2, 1024)
    guard validity.extend(zeroTo: (rows &+ 7) / 8) else { return false }
    let isByRow = kind == .fixed || kind == .names
    guard !isByRow || values.extend(zeroTo: rows &* width) else { return false }
    room = rows
    return true
  }

  /// Gives a row of a `fixed` column a number of `width` octets; false where there is no memory.
  @inline(__always)
  mutating func set(_ row: Int, _ value: UInt64) -> Bool {
    guard mark(row), let base = values.base else { return false }
    RawColumn.store(value, width: width, at: base + row &* width)
    return true
  }

  /// Gives a row as many octets of two words, in the order of the network, as are wide; false where there is no memory.
  mutating func set(_ row: Int, octetsOf high: UInt64, _ low: UInt64) -> Bool {
    guard mark(row), let base = values.base else { return false }
    OctetPair(high, low).withLast(width) { octets in
      guard let source = octets.baseAddress else { return }
      // Safe: `mark` made room for `width` octets in this row, and there are no more.
      (base + row &* width).copyMemory(from: source, byteCount: octets.count)
    }
    return true
  }

  /// Gives a row of a column with offsets octets; false where there is no memory.
  mutating func set(_ row: Int, octets: UnsafeRawBufferPointer) -> Bool {
    guard beginOffsets(row), values.append(octets) else { return false }
    entries = values.count
    return true
  }

  /// The number of a text in valid UTF-8 in the dictionary; nil where there is no memory.
  mutating func number(of name: UnsafeRawBufferPointer) -> Int32? { texts.number(of: name) }

  /// Gives a row of a `names` column a text in valid UTF-8; false where there is no memory.
  mutating func set(_ row: Int, name: UnsafeRawBufferPointer) -> Bool {
    guard let number = texts.number(of: name) else { return false }
    return set(row, UInt64(truncatingIfNeeded: number))
  }

  /// Gives a row a list of `count` numbers; false where there is no memory.
  @inline(__always)
  mutating func set(_ row: Int, count: Int, _ entry: (_ index: Int) -> UInt64) -> Bool {
    guard beginOffsets(row), values.reserve(count &* width) else { return false }
    var index = 0
    while index < count {
      values.store(entry(index), width: width)
      index &+= 1
    }
    entries &+= max(count, 0)
    return true
  }

  private mutating func beginOffsets(_ row: Int) -> Bool { mark(row) && pad(to: row) }

  /// Lets all rows up to this one begin where the values end, those that have no offset yet.
  private mutating func pad(to row: Int) -> Bool {
    let rows = offsets.count &>> 2
    guard rows <= row else { return true }
    guard offsets.reserve((row &+ 1 &- rows) &* 4) else { return false }
    var next = rows
    while next <= row {
      offsets.appendOffset(entries)
      next &+= 1
    }
    return true
  }

  // MARK: The end of a batch

  /// Makes the column's array, which owns the buffers from there on, and starts anew.
  ///
  /// - Returns: 0, or ENOMEM; then the array is released.
  mutating func finish(rows: Int, in array: UnsafeMutablePointer<ArrowArray>) -> Int32 {
    guard room >= rows || makeRoom(max(rows, 1) &- 1) else { return ENOMEM }
    let nulls = rows &- valid
    if nulls == 0 { validity.destroy() }
    defer {
      room = 0
      valid = 0
      entries = 0
    }
    switch kind {
    case .fixed:
      return make(array, rows, nulls, [validity.takeOrNone(), values.take()])
    case .octets:
      guard pad(to: rows) else { return ENOMEM }
      return make(array, rows, nulls, [validity.takeOrNone(), offsets.take(), values.take()])
    case .names:
      let status = make(array, rows, nulls, [validity.takeOrNone(), values.take()], hasDictionary: true)
      guard status == 0 else { return status }
      let count = texts.count
      let parts = [nil, texts.takeOffsets(), texts.takeOctets()]
      texts.reset()
      return make(array.pointee.dictionary, count, 0, parts)
    case .list:
      guard pad(to: rows) else { return ENOMEM }
      let count = entries
      let status = make(array, rows, nulls, [validity.takeOrNone(), offsets.take()], children: 1)
      guard status == 0 else { return status }
      // Safe: one child was made above.
      return make(array.pointee.children[0]!, count, 0, [nil, values.take()])
    }
  }

  private func make(
    _ array: UnsafeMutablePointer<ArrowArray>, _ rows: Int, _ nulls: Int,
    _ buffers: [UnsafeMutableRawPointer?], children: Int64 = 0, hasDictionary: Bool = false
  ) -> Int32 {
    martlet_arrow_array(
      array, Int64(rows), Int64(nulls), Int64(buffers.count), buffers, children, hasDictionary ? 1 : 0)
  }

  /// Frees everything.
  mutating func destroy() {
    validity.destroy()
    values.destroy()
    offsets.destroy()
    texts.destroy()
  }
}

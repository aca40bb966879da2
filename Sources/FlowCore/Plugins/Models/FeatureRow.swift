// A record's fields as numbers, those that features ask for: the same declarations write them that write IPFIX and CSV.
import CIntrinsics
import IPFIX

/// What is taken of one field.
struct FieldUse: BitwiseCopyable {
  /// Where a number goes in the row; -1 for nowhere.
  var place: Int32 = -1
  /// Which entries of a list are taken: `count` of the picks from `first` on.
  var first: UInt32 = 0
  var count: UInt32 = 0
}

/// What is taken of a list.
struct ListPick: BitwiseCopyable {
  /// The entry's index; -1 for how many entries there are.
  var index: Int32
  /// Where it goes in the row.
  var place: Int32
}

/// Takes the fields of one plugin, in their order, into a row of numbers.
struct FeatureRow: NumberWriter {
  /// What is taken of the next field.
  var use: UnsafePointer<FieldUse>
  let picks: UnsafePointer<ListPick>
  let values: UnsafeMutablePointer<Double>
  /// When the flow began, microseconds since 1970.
  let began: Int64

  /// What is taken of the field at hand; the next one is behind it.
  @inline(__always)
  private mutating func next() -> FieldUse {
    // Safe: there is a use for each field that the plugin writes, and it always writes all (`DeclarationCheck`).
    let current = use.pointee
    use += 1
    return current
  }

  @inline(__always)
  private mutating func put(_ value: @autoclosure () -> Double) {
    let use = next()
    // Safe: places are those of the row that was made with the uses.
    if use.place >= 0 { values[Int(use.place)] = value() }
  }

  @inline(__always)
  private mutating func put(count: Int, _ entry: (_ index: Int) -> Double) {
    let use = next()
    var pick = UInt32(0)
    while pick < use.count {
      // Safe: the uses were made with as many picks, and the row with their places.
      let wanted = picks[Int(use.first &+ pick)]
      if wanted.index < 0 {
        values[Int(wanted.place)] = Double(count)
      } else if Int(wanted.index) < count {
        values[Int(wanted.place)] = entry(Int(wanted.index))
      }
      pick &+= 1
    }
  }

  @inline(__always)
  private static func microseconds(_ nanoseconds: UInt64, since began: Int64) -> Double {
    Double(Int64(truncatingIfNeeded: nanoseconds / 1000) &- began)
  }

  mutating func number(_ element: InformationElement, _ value: UInt64) { put(Double(value)) }
  /// What is no number leaves CSV's cell empty, and is none here.
  mutating func float32(_ element: InformationElement, _ value: Float) {
    put(value.isFinite ? Double(value) : .nan)
  }
  mutating func time(_ element: InformationElement, nanoseconds: UInt64) {
    let began = self.began
    put(Self.microseconds(nanoseconds, since: began))
  }
  mutating func numbers(
    _ element: InformationElement, count: Int, isSigned: Bool, _ entry: (_ index: Int) -> UInt64
  ) {
    put(count: count) {
      let value = entry($0)
      return isSigned ? Double(Int64(bitPattern: value)) : Double(value)
    }
  }
  mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    let began = self.began
    put(count: count) { Self.microseconds(entry($0), since: began) }
  }
  mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) { _ = next() }
  mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) { _ = next() }
  mutating func macAddress(_ element: InformationElement, _ address: UInt64) { _ = next() }
  mutating func octets(_ element: InformationElement, _ bytes: RawSpan) { _ = next() }
  mutating func string(_ element: InformationElement, _ bytes: RawSpan) { _ = next() }
}

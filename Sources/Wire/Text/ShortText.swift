// Text of a few characters that is made of numbers when a record is exported.

/// At most 24 ASCII characters; what does not fit is left out.
package struct ShortText {
  private var characters = InlineArray<24, UInt8>(repeating: 0)
  /// How many there are.
  private var count: UInt8 = 0

  package init() {}

  /// Adds one character.
  @inline(__always)
  package mutating func append(_ character: UInt8) {
    guard count < 24 else { return }
    characters[total: Int(count)] = character
    count &+= 1
  }

  /// Adds all characters of `text`.
  package mutating func append(_ text: Bytes) {
    var index = 0
    while index < text.count {
      append(text[index])
      index &+= 1
    }
  }

  /// Adds a number in decimal, with zeros before it if it has fewer than `digits` digits.
  package mutating func append(decimal number: UInt32, digits: Int = 1) {
    var last = InlineArray<10, UInt8>(repeating: 0)
    var rest = number
    var place = 0
    var length = 1
    while place < 10 {
      let digit = UInt8(truncatingIfNeeded: rest % 10)
      last[total: place] = digit
      rest /= 10
      place &+= 1
      if digit != 0 { length = place }
    }
    place = min(10, max(length, digits))
    while place > 0 {
      place &-= 1
      append(0x30 &+ last[total: place])
    }
  }

  /// The characters.
  package var span: RawSpan {
    @_lifetime(borrow self)
    get { characters.span.bytes.extracting(first: Int(min(count, 24))) }
  }
}

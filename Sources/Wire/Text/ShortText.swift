// Text of a few characters that is made of numbers when a record is exported.

/// At most 24 ASCII characters; what does not fit is left out.
package struct ShortText: TextSink {
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

  /// The characters.
  package var span: RawSpan {
    @_lifetime(borrow self)
    get { characters.span.bytes.extracting(first: Int(min(count, 24))) }
  }
}

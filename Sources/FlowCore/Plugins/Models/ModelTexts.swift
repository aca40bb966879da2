// The names of models and of their classes, which records refer to by number: a record may wait for minutes until it is written,
// and the model that it was judged by may be gone by then.
import CIntrinsics
import Wire

/// Texts by number, for the whole process. None is ever taken away; one that is there already keeps its number, so that a model
/// that is read again adds nothing.
///
/// Safe between threads: only `number` writes, under a lock, and a number is handed on, through a model that is published or a
/// record that goes through a ring, after its text is in its place.
struct ModelTexts: BitwiseCopyable, @unchecked Sendable {
  private let places: UnsafeMutablePointer<Bytes>
  private static let capacity = 1 << 16
  private static let known = Guarded<[String: UInt16]>(["": 0])

  /// The texts of this process; made where a model's plugin is.
  static let shared = ModelTexts()

  private init() {
    let nothing = Bytes(UnsafeRawBufferPointer(start: martlet_zeros(), count: 0))
    places = .allocate(capacity: Self.capacity)
    places.initialize(repeating: nothing, count: Self.capacity)
  }

  /// The number of a text; nil where there is no number left.
  func number(of text: String) -> UInt16? {
    Self.known.withLock { known in
      if let number = known[text] { return number }
      guard known.count < Self.capacity else { return nil }
      let number = UInt16(known.count)
      places[Int(number)] = PluginOptions.keep(Array(text.utf8))
      known[text] = number
      return number
    }
  }

  /// The text of a number; empty for one that was not given.
  @inline(__always)
  subscript(number: UInt16) -> Bytes {
    // Safe: there are as many places as numbers of 16 bits.
    places[Int(number)]
  }
}

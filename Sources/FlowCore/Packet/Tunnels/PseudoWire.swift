// Ethernet over MPLS. The label stack does not say what it carries; the first four bits below it do, mostly.
import Wire

/// Looks for an Ethernet frame below a label stack.
///
///     | control word 32, its first four bits 0 | frame          RFC 4385, RFC 4448
///     | frame                                                   without a control word
enum PseudoWire {
  /// Where in `bytes`, which follow the bottom of the stack, the frame begins; nil where there is none. With `guesses` the bytes of
  /// a frame decide where it lies, and it may lie there without a control word; else the first four bits do alone.
  static func frame(_ bytes: Bytes, guesses: Bool) -> Int? {
    guard !bytes.isEmpty else { return nil }
    let hasControlWord = bytes[0] >> 4 == 0
    guard guesses else { return hasControlWord ? 4 : nil }
    if hasControlWord, EthernetGuess.isFrame(bytes.dropFirst(4)) { return 4 }
    if EthernetGuess.isFrame(bytes) { return 0 }
    return hasControlWord ? 4 : nil
  }
}

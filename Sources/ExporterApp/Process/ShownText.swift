// Text for people's eyes: names of files, devices and programs are somebody else's, and a terminal obeys what it finds in them.
// Export lcores say something, too: nothing here may trap.

/// Text as a terminal may be given it.
enum ShownText {
  /// The text on one line, with a mark (U+FFFD) in the place of each character that a terminal obeys or turns the direction of the
  /// text at: C0, DEL and C1 of ECMA-48, line and paragraph separators, embeddings, overrides and isolates of Unicode's annex 9.
  /// A line end, which libraries have in their words, becomes a space.
  static func cleaned(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isObeyed) else { return text }
    var shown = ""
    for scalar in text.unicodeScalars {
      shown.unicodeScalars.append(scalar == "\n" ? " " : isObeyed(scalar) ? "\u{FFFD}" : scalar)
    }
    return shown
  }

  private static func isObeyed(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069: true
    default: false
    }
  }
}

// A command line before it is read as options: where EAL's part ends, and what ArgumentParser would take for something else.

/// The words of a command line without the program's name.
struct CommandWords {
  /// What stands before `--`; nil where there is no `--`.
  let eal: [String]?
  /// Martlet's own words.
  let own: [String]

  init(_ words: [String]) {
    let separator = words.firstIndex(of: "--")
    eal = separator.map { Array(words[..<$0]) }
    own = Self.joined(separator.map { Array(words[($0 + 1)...]) } ?? words)
  }

  /// The words with `--odid -3` as `--odid=-3`, so that the option says what it thinks of a negative number.
  private static func joined(_ words: [String]) -> [String] {
    var joined: [String] = []
    for word in words {
      let isNegative = word.first == "-" && word.dropFirst().first?.isNumber ?? false
      if isNegative, let last = joined.last, last.hasPrefix("--"), !last.contains("=") {
        joined[joined.count - 1] += "=" + word
      } else {
        joined.append(word)
      }
    }
    return joined
  }
}

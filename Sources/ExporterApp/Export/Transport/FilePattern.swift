// The names of files that follow one another: with the time in them as strftime writes it, and a number where a name is taken.
import Glibc

/// A file's name with conversions of strftime(3) in its last component, taken apart once, so that making a name cannot fail.
struct FilePattern: Equatable, Sendable {
  /// As the user wrote it.
  let path: String
  /// What stands before the last component, with its slash; empty for the working directory.
  let directory: String
  /// The last component up to its extensions, with conversions.
  private let format: String
  /// Its extensions, as `.json` or `.ipfix.zst`; none after which a conversion stands.
  private let extensions: String
  /// What stands before the first conversion, or all of `format`.
  private let beginning: String
  /// The path, where no time makes another one of it.
  let fixedPath: String?

  /// The conversions that there may be: none makes a slash, a space in the C locale, or several lines.
  static let conversions = "YmdHMSyjFRTsaAbBhpIZzuwVGgUWC"

  /// Checks a path.
  init(_ path: String) throws(InvalidValue) {
    self.path = path
    let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
    directory = String(path[..<slash])
    let name = path[slash...]
    guard !name.isEmpty else { throw InvalidValue("'\(path)' is a folder; name a file in it") }
    guard !directory.contains("%") else {
      throw InvalidValue("'%' stands in the name of a folder; only the file's own may have the time in it")
    }
    var rest = name
    var hasTime = false
    while let percent = rest.firstIndex(of: "%") {
      rest = rest[rest.index(after: percent)...]
      let conversion = rest.popFirst().map(String.init) ?? ""
      guard conversion == "%" || conversion.count == 1 && Self.conversions.contains(conversion) else {
        throw InvalidValue(
          "'%\(conversion)' is no conversion for a file's name; write %Y %m %d %H %M %S %F %s …, or %% for '%'"
        )
      }
      hasTime = hasTime || conversion != "%"
    }
    let stem = name[..<Self.extensions(of: rest, isWhole: rest.startIndex == name.startIndex)]
    format = String(stem)
    extensions = String(name[stem.endIndex...])
    beginning = String(stem[..<(stem.firstIndex(of: "%") ?? stem.endIndex)])
    fixedPath = hasTime ? nil : directory + name.replacing("%%", with: "%")
  }

  /// Whether a path has conversions, so that it is one.
  static func isOne(_ path: String) -> Bool {
    path[(path.lastIndex(of: "/") ?? path.startIndex)...].contains("%")
  }

  /// Where the extensions of a name begin: each is a dot, a letter, and up to seven letters or digits. A dot at the beginning
  /// of a whole name begins none.
  private static func extensions(of name: Substring, isWhole: Bool) -> String.Index {
    var end = name.endIndex
    while let dot = name[..<end].lastIndex(of: "."), dot > name.startIndex || !isWhole {
      let word = name[dot..<end].dropFirst()
      guard let first = word.first, first.isASCII, first.isLetter, word.count <= 8,
        word.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) })
      else { break }
      end = dot
    }
    return end
  }

  /// The name without extensions at a time, seconds since 1970, in the local time zone.
  func stem(at seconds: UInt64) -> String {
    var time = time_t(clamping: seconds)
    var parts = tm()
    localtime_r(&time, &parts)
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { buffer in
      // 0 is longer than any file's name may be: opening it says so.
      guard let base = buffer.baseAddress, strftime(base, 1024, format, &parts) > 0 else { return format }
      return String(cString: base)
    }
  }

  /// The path of a complete file; a number stands before its extensions: `flows.1.json`, and 0 is none.
  func path(_ stem: String, _ number: Int) -> String {
    number == 0 ? "\(directory)\(stem)\(extensions)" : "\(directory)\(stem).\(number)\(extensions)"
  }

  /// The hidden path that the same file has until it is complete.
  func temporaryPath(_ stem: String, _ number: Int) -> String {
    number == 0
      ? "\(directory).\(stem)\(extensions).part" : "\(directory).\(stem).\(number)\(extensions).part"
  }

  /// Whether a name is a temporary one that this pattern makes at some time.
  func isTemporary(_ name: String) -> Bool {
    name.hasPrefix(".\(beginning)") && name.hasSuffix("\(extensions).part")
  }
}

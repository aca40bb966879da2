// `--spool`: where records wait for a collector that is away, and how many.

/// A directory and what each collector may have in it.
struct SpoolSettings: Equatable, Sendable {
  /// The directory.
  var directory: String
  /// Octets for each collector.
  var octets: Int

  /// Less would hold too few messages to be of use: each of some eight segments begins with all templates and with what the
  /// stream says of itself, 20 KiB with all plugins.
  static let least = 1 << 20

  /// Reads `DIR,SIZE`: the size in bytes, or with K, M, G or T behind it in powers of 1024.
  init(_ text: String) throws {
    let wanted = InvalidValue("'\(text)' is not DIR,SIZE, as /var/spool/martlet,1G")
    guard let comma = text.lastIndex(of: ","), comma > text.startIndex else { throw wanted }
    directory = String(text[..<comma])
    var size = text[text.index(after: comma)...]
    var shift = 0
    if let last = size.last, let index = Array("KMGT").firstIndex(of: Character(last.uppercased())) {
      shift = 10 * (index + 1)
      size = size.dropLast()
    }
    guard !size.isEmpty, size.allSatisfy({ $0.isASCII && $0.isNumber }), let number = Int(size),
      number <= (Int.max >> 10) >> shift
    else { throw wanted }
    octets = number << shift
    guard octets >= Self.least else {
      throw InvalidValue("'\(text)' has room for less than 1M; give more")
    }
  }
}

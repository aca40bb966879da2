// What the columns of CSV are called: as everywhere in Martlet, or in words that a data frame takes for attributes.
import IPFIX

/// How columns are named.
public enum CSVNames: String, CaseIterable, Sendable {
  /// As JSON's keys: `iana@reverse:octetDeltaCount`.
  case full
  /// The element's name alone, RFC 5103's for the reverse direction: `reverseOctetDeltaCount`. Behind the columns of the
  /// elements come `duration` and `source_file`, and JA3 is plain hexadecimal.
  case short

  /// The names of the columns that `short` has on top.
  static let added = ["duration", "source_file"]

  /// The names of all columns of CSV.
  func header(_ columns: [InformationElement]) -> [String] {
    names(columns) + (self == .short ? Self.added : [])
  }

  /// The names of columns, each there once. What several have gets its owner in front, and its number behind where that does not
  /// tell them apart either.
  public func names(_ columns: [InformationElement]) -> [String] {
    guard self == .short else { return columns.map(\.key) }
    var taken = Set(Self.added)
    return columns.map { element in
      let short = Self.short(element)
      var candidates = [short, "\(element.owner)_\(short)"]
      var number = 2
      while let name = candidates.first {
        candidates.removeFirst()
        if taken.insert(name).inserted { return name }
        if candidates.isEmpty {
          candidates.append("\(element.owner)_\(short)_\(number)")
          number += 1
        }
      }
      return short
    }
  }

  /// The element's name; for the reverse direction as RFC 5103 section 6.1 makes it.
  private static func short(_ element: InformationElement) -> String {
    let name = element.name.description
    guard element.isReverse, let first = name.first else { return name }
    return "reverse" + first.uppercased() + name.dropFirst()
  }

  /// Whether the element's octets are a digest that others write as plain hexadecimal: JA3's MD5.
  public static func isDigest(_ element: InformationElement) -> Bool {
    element.type == .octetArray && element.name.description.contains("Ja3")
  }
}

// `--tunnels` and `--list-tunnels`: what can be opened, for people and for the table in docs/tunnels.md.
import FlowCore

/// `--list-tunnels`.
enum TunnelList {
  /// One line for each kind, under a heading.
  static var text: String {
    let heading = ["tunnel", "where it is found", "its number", "without --tunnels"]
    let rows = TunnelKind.allCases.map { kind in
      [kind.name.description, kind.place, kind.identifierName, kind.isUsual ? "opened" : "closed"]
    }
    return TextTable.text([heading] + rows, [.left])
  }
}

extension TunnelKind {
  /// Their names, joined by commas.
  static func names(_ kinds: [TunnelKind]) -> String { kinds.map(\.name.description).joined(separator: ",") }
}

extension TunnelKinds {
  /// Reads `all`, `none`, or names joined by commas.
  static func parse(_ text: String) throws -> TunnelKinds {
    guard let kinds = TunnelKinds(words: text) else {
      throw InvalidValue(
        "'\(text)' is not all, none, or some of \(TunnelKind.names(TunnelKind.allCases)), joined by commas")
    }
    return kinds
  }
}

// `--tunnels` and `--list-tunnels`: what can be opened, for people and for the table in docs/tunnels.md.
import Captures
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

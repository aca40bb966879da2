// `--tunnels`: which kinds are opened.
import FlowCore

extension TunnelKind {
  /// Their names, joined by commas.
  public static func names(_ kinds: [TunnelKind]) -> String {
    kinds.map(\.name.description).joined(separator: ",")
  }
}

extension TunnelKinds {
  /// Reads `all`, `none`, or names joined by commas.
  public static func parse(_ text: String) throws -> TunnelKinds {
    guard let kinds = TunnelKinds(words: text) else {
      throw InvalidValue(
        "'\(text)' is not all, none, or some of \(TunnelKind.names(TunnelKind.allCases)), joined by commas")
    }
    return kinds
  }
}

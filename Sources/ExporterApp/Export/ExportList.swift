// `--list-exports`: where records may go and with which parameters, for people and for the tables in docs/ipfix.md.

/// The list of exports and their parameters.
enum ExportList {
  /// A line for each kind of export under a heading, then one for each parameter.
  static var text: String {
    let exports = ExportScheme.allCases.map { [$0.form, $0.meaning] }
    let parameters = ExportParameter.allCases.map { parameter in
      let declaration = parameter.declaration
      return [
        "\(parameter.rawValue)=\(declaration.placeholder)",
        declaration.schemes.map(\.rawValue).joined(separator: ", "), declaration.meaning,
      ]
    }
    return TextTable.text([["export", "what it is"]] + exports, [.left]) + "\n"
      + TextTable.text([["parameter", "of", "what it does"]] + parameters, [.left])
  }
}

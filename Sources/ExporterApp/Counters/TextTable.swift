// Columns of text for people, in the totals and in lists.

/// Rows of cells in columns as wide as their widest cell. Names in cells may be anybody's: they keep to their lines.
enum TextTable {
  /// Where the cells of a column stand.
  enum Alignment {
    case left
    case right
  }

  /// One line for each row; columns without an alignment have the last one's.
  ///
  /// - Parameters:
  ///   - rows: the cells; a row may be shorter than others.
  ///   - alignments: by column.
  ///   - indent: what each line begins with.
  static func text(_ rows: [[String]], _ alignments: [Alignment], indent: String = "") -> String {
    let rows = rows.map { $0.map(ShownText.cleaned) }
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    return rows.map { row in
      let cells = row.enumerated().map { column, cell in
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        let alignment = column < alignments.count ? alignments[column] : alignments.last ?? .left
        if alignment == .right { return padding + cell }
        // Nothing invisible stands at the end of a line.
        return column == row.count - 1 && alignments.last == .left ? cell : cell + padding
      }
      return indent + cells.joined(separator: "  ") + "\n"
    }.joined()
  }
}

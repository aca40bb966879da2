// What the program is called by number.

/// Names and numbers of the program itself.
enum Product {
  static let version = "0.1.0"
}

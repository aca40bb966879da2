// What the program is called by number.

/// Names and numbers of the program itself.
public enum Product {
  /// The version of the program and of the library.
  public static let version = "0.1.0"
}

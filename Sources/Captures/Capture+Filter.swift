// Filters of captures: each is compiled for the link type of its own.

extension Capture {
  /// Compiles a filter for the capture's link type.
  ///
  /// - Throws: what libpcap finds wrong with the expression (usage).
  public func compile(_ expression: String) throws(Failure) -> FilterProgram {
    try FilterProgram(expression, for: handle)
  }
}

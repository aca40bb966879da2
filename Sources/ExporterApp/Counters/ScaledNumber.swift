// Numbers that people compare at a glance.

/// Numbers in few characters.
enum ScaledNumber {
  /// At most five characters: "98765", "123K", "1.23M"; K, M, G, T, P, E are powers of 1000.
  static func text(_ value: UInt64) -> String {
    if value < 100_000 { return String(value) }
    var scaled = Double(value)
    for unit in "KMGTPE" {
      scaled /= 1000
      if scaled < 9.995 { return CounterReport.fixed(scaled, digits: 2) + String(unit) }
      if scaled < 99.95 { return CounterReport.fixed(scaled, digits: 1) + String(unit) }
      if scaled < 999.5 || unit == "E" { return CounterReport.fixed(scaled, digits: 0) + String(unit) }
    }
    return String(value)
  }
}

// Numbers that people compare at a glance.

/// Numbers in few characters.
enum ScaledNumber {
  /// At most five characters: "98765", "123K", "1.23M"; K, M, G, T, P, E are powers of 1000.
  static func text(_ value: UInt64) -> String {
    value < 100_000 ? String(value) : scaled(Double(value), "KMGTPE")
  }

  /// The same for a rate.
  static func text(rate: Double) -> String { text(UInt64(clamping: whole(rate.rounded(.down)))) }

  /// The nearest whole number; what an integer does not hold is as much as it holds, and no number is 0.
  static func whole(_ value: Double) -> Int {
    // The bounds are powers of two, which both kinds of number have.
    if value >= 0x1p63 { return .max }
    if value <= -0x1p63 { return .min }
    return value.isNaN ? 0 : Int(value.rounded())
  }

  /// A number from 1000 on with three digits and the first of `units` that leaves no more than three before the point: 1.23k, 45.6M,
  /// 789G.
  static func scaled(_ value: Double, _ units: String) -> String {
    var rest = value
    var unit: Character = " "
    for next in units {
      rest /= 1000
      unit = next
      if rest < 999.5 { break }
    }
    return CounterReport.fixed(rest, digits: rest < 9.995 ? 2 : rest < 99.95 ? 1 : 0) + String(unit)
  }
}

// `--sample`: one of how many packets or flows.
import FlowCore

extension Sampling {
  /// Reads `1/N`, `random:1/N` or `flow:1/N`.
  public init(_ text: String) throws {
    let wanted = InvalidValue("'\(text)' is not 1/N, random:1/N or flow:1/N, N from 1 to \(Self.greatest)")
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let method: Method
    switch parts.count > 1 ? parts[0] : "" {
    case "": method = .systematic
    case "random": method = .random
    case "flow": method = .flow
    default: throw wanted
    }
    guard let rate = parts.last, rate.hasPrefix("1/"),
      rate.dropFirst(2).allSatisfy({ $0.isASCII && $0.isNumber }), parts.first != "" || parts.count == 1,
      let interval = UInt32(rate.dropFirst(2)), interval >= 1, interval <= Self.greatest
    else { throw wanted }
    self.init(method, interval: interval)
  }

  /// More than any sampler does; NetFlow's have 32 bits.
  private static let greatest: UInt32 = 1_000_000_000
}

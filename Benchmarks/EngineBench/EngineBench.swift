// The engine alone, with packets in memory: cost for each packet by number of flows, new flows, sizes and plugins, next
// to a plain C version of the same passes over the same packets.
import ArgumentParser
import FlowCore
import Foundation

/// One line of the table.
struct Result: Codable {
  var shape: String
  var plugins: String
  var flows: Int
  var newShare: Double
  var sizes: String
  /// Medians over the rounds.
  var nanoseconds: Double
  var cycles: Double
  var nanosecondsC: Double?
  /// Median of the ratios within one round.
  var ratio: Double?
  /// Cycles per packet by pass, from one more round in which they are taken.
  var passes: [String: Double]
  /// Records that ended for lack of room, for each measured packet.
  var evicted: Double
}

@main
struct EngineBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "engine-bench", abstract: "Martlet's flow engine alone, packets in memory.")

  @Option(help: "Numbers of flows.") var flows = "1k,100k,1M,10M"
  @Option(help: "Shares of packets that begin a flow, percent.") var new = "0,1,10,100"
  @Option(help: "64, mixed, or both.") var sizes = "64"
  @Option(help: "Plugin sets: names joined by +, sets by comma; none for no plugin.") var plugins = "none"
  @Option(help: "ordinary, elephant, fragments, alike, or a hostile packet.") var shapes = "ordinary"
  @Flag(
    help: "For each hostile packet that is known: without plugins, and with the plugin that it is made for.")
  var hostile = false
  @Option(help: "Packets in one round.") var packets = 2_000_000
  @Option(help: "Rounds; the median counts.") var rounds = 7
  @Option(help: "Nanoseconds between packets; by default the clock follows the cycles.") var pace: UInt64?
  @Flag(help: "Leave the C version out.") var noC = false
  @Option(help: "Write the results to this file.") var json: String?

  mutating func run() throws {
    var results: [Result] = []
    print(
      "shape       plugins              flows    new %  sizes   ns/packet  cycles/packet  C ns/packet  Swift/C  evicted"
        + Pass.allCases.map { pad($0.name, 9, onTheLeft: true) }.joined()
    )
    let rows =
      hostile
      ? HostilePacket.all.map { (shape: $0.shape.rawValue, sets: "none,\($0.plugin)") }
      : list(shapes).map { (shape: $0, sets: plugins) }
    for row in rows {
      guard let shape = TrafficKind.Shape(rawValue: row.shape) else {
        throw ValidationError("no shape '\(row.shape)'")
      }
      for set in list(row.sets) {
        for size in list(sizes) {
          for flows in list(flows) {
            for share in list(new) {
              let kind = TrafficKind(
                shape: shape, flows: try number(flows), newShare: (Double(share) ?? 0) / 100,
                isMixed: size == "mixed")
              let result = try measure(kind, set)
              results.append(result)
              show(result)
            }
          }
        }
      }
    }
    if let json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      try encoder.encode(results).write(to: URL(fileURLWithPath: json))
    }
  }

  private func list(_ text: String) -> [String] { text.split(separator: ",").map(String.init) }

  private func number(_ text: String) throws -> Int {
    let scale = text.hasSuffix("k") ? 1000 : text.hasSuffix("M") ? 1_000_000 : 1
    guard let number = Int(scale == 1 ? text : String(text.dropLast())), number > 0 else {
      throw ValidationError("'\(text)' is no number of flows")
    }
    return number * scale
  }

  private func measure(_ kind: TrafficKind, _ set: String) throws -> Result {
    var configuration = FlowConfiguration()
    // Room for the working set and a quarter more; flows beyond that push others out.
    configuration.flows = kind.flows * 5 / 4
    configuration.seed = 42
    configuration.isOffline = false
    // Flows that were replaced time out as fast as the sweep allows, so that they do not fill the table.
    configuration.inactiveTimeout = kind.newShare == 0 ? 30_000_000_000 : 1_000_000_000
    let names = set == "none" ? [] : set.split(separator: "+").map(String.init)
    let swift = Runner(try SwiftEngine(plugins: names, configuration: configuration), kind, pace: pace)
    let comparesC = !noC && names.isEmpty && kind.shape != .fragments
    let plain =
      comparesC
      ? PlainCEngine(configuration: configuration).map { Runner($0, kind, pace: pace) } : nil
    _ = swift.run(packets: min(packets, 500_000))
    _ = plain?.run(packets: min(packets, 500_000))
    let evictedBefore = swift.engine.evicted
    var cycles: [Double] = []
    var cyclesC: [Double] = []
    for _ in 0..<rounds {
      cycles.append(swift.run(packets: packets))
      if let plain { cyclesC.append(plain.run(packets: packets)) }
    }
    let evicted = Double(swift.engine.evicted - evictedBefore) / Double(packets * rounds)
    let passes = swift.passes(packets: packets)
    let ratios = zip(cycles, cyclesC).map { $0 / $1 }
    let median = Self.median(cycles)
    return Result(
      shape: kind.shape.rawValue, plugins: set, flows: kind.flows, newShare: kind.newShare,
      sizes: kind.isMixed ? "mixed" : "64", nanoseconds: median / CycleClock.perNanosecond, cycles: median,
      nanosecondsC: cyclesC.isEmpty ? nil : Self.median(cyclesC) / CycleClock.perNanosecond,
      ratio: ratios.isEmpty ? nil : Self.median(ratios),
      passes: passes, evicted: evicted)
  }

  private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

  private func show(_ result: Result) {
    func cell(_ value: Double?, _ width: Int, _ format: String) -> String {
      pad(value.map { String(format: format, $0) } ?? "-", width, onTheLeft: true)
    }
    print(
      pad(result.shape, 12) + pad(result.plugins, 18) + cell(Double(result.flows), 8, "%.0f")
        + cell(result.newShare * 100, 9, "%g") + "  " + pad(result.sizes, 6)
        + cell(result.nanoseconds, 11, "%.1f") + cell(result.cycles, 15, "%.0f")
        + cell(result.nanosecondsC, 13, "%.1f") + cell(result.ratio, 9, "%.2f")
        + cell(result.evicted, 9, "%.3f")
        + Pass.allCases.map { cell(result.passes[$0.name], 9, "%.1f") }.joined())
  }

  private func pad(_ text: String, _ width: Int, onTheLeft: Bool = false) -> String {
    let padding = String(repeating: " ", count: max(0, width - text.count))
    return onTheLeft ? padding + text : text + padding
  }
}

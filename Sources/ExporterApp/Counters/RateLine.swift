// The --stats line for somebody who looks on: what comes in, how full the table is, who is busy, and what is lost.
import FlowCore

/// One line of rates.
struct RateLine {
  /// Columns that the line has at most, with the program's name in front.
  static let columns = 100

  private let now: CounterSnapshot
  private let previous: CounterSnapshot
  /// From the one to the other.
  private let seconds: Double
  /// Flows that fit all tables.
  private let capacity: UInt64

  init(_ now: CounterSnapshot, previous: CounterSnapshot, seconds: Double, capacity: UInt64) {
    self.now = now
    self.previous = previous
    self.seconds = max(seconds, 1e-9)
    self.capacity = max(capacity, 1)
  }

  /// Counters of what a better equipped or configured run would have kept, in the order of a packet's way.
  private static let losses: [Counter] = {
    let names = [
      "missed", "no mbuf", "errors", "table full", "lack of resources", "slab full", "stream lost",
      "ring full",
      "export dropped",
    ]
    return CounterTable.all.filter { names.contains($0.name) }
  }()

  /// The line without the program's name; parts that are of less use leave where losses need their place.
  var text: String {
    let lost = losses
    for parts in [
      [rates, table, busyWorkers, busyExporters], [rates, table, busyWorkers], [rates, table], [rates],
    ] {
      let line = (parts + [lost]).filter { !$0.isEmpty }.joined(separator: "  ")
      if line.count + Self.name <= Self.columns { return line }
    }
    return String((rates + "  " + lost).prefix(Self.columns - Self.name - 1)) + "…"
  }

  /// Columns of "martlet: ".
  private static let name = 9

  private var rates: String {
    let packets = growth { $0.loop.received } / seconds / 1e6
    let bits = growth { $0.loop.bytes } * 8 / seconds / 1e9
    return padded(CounterReport.fixed(packets, digits: 3), 6) + " Mpps  "
      + padded(CounterReport.fixed(bits, digits: 3), 7) + " Gbit/s"
  }

  private var table: String {
    let flows = now.workers.reduce(0) { $0 &+ $1.engine.inTable }
    let made = growth { $0.engine.flowsMade } / seconds
    return padded(ScaledNumber.text(flows), 5) + " flows " + padded(Self.percent(flows, of: capacity), 4)
      + "  "
      + padded(ScaledNumber.text(rate: made), 5) + " new/s"
  }

  /// The least and the most busy worker's share of its time.
  private var busyWorkers: String {
    let shares = now.workers.map { worker in
      share(
        worker.loop.activity,
        before: previous.workers.first { $0.lcore == worker.lcore }?.loop.activity)
    }
    guard let least = shares.min(), let most = shares.max() else { return "" }
    return "busy " + (shares.count == 1 ? "\(most)%" : "\(least)-\(most)%")
  }

  private var busyExporters: String {
    let shares = now.exporters.map { exporter in
      share(
        exporter.activity,
        before: previous.exporters.first { $0.lcore == exporter.lcore }?.activity)
    }
    return shares.max().map { "export \($0)%" } ?? ""
  }

  /// What was lost since the line before.
  private var losses: String {
    let lost = Self.losses.compactMap { counter in
      let total = now.total(counter)
      let before = previous.total(counter)
      return total > before ? "\(counter.name) \(ScaledNumber.text(total - before))" : nil
    }
    return lost.isEmpty ? "" : "LOST " + lost.joined(separator: ", ")
  }

  private func growth(_ read: (CounterSnapshot.WorkerEntry) -> UInt64) -> Double {
    let total = now.workers.reduce(0) { $0 &+ read($1) }
    let before = previous.workers.reduce(0) { $0 &+ read($1) }
    return Double(total &- min(before, total))
  }

  /// A share of the time since the line before, in per cent.
  private func share(_ activity: LoopActivity, before: LoopActivity?) -> Int {
    let busy = activity.busyCycles &- min(before?.busyCycles ?? 0, activity.busyCycles)
    let all = activity.cycles &- min(before?.cycles ?? 0, activity.cycles)
    return all == 0 ? 0 : Int((min(Double(busy) / Double(all), 1) * 100).rounded())
  }

  /// "<1%" says that there are some.
  private static func percent(_ part: UInt64, of whole: UInt64) -> String {
    let share = Int(Double(part) / Double(whole) * 100)
    return part > 0 && share == 0 ? "<1%" : "\(min(share, 100))%"
  }

  private func padded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}

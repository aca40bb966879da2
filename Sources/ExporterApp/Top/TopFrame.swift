// One picture of `martlet top`, as lines of plain text: what is on a terminal and in a file alike.

/// Two samples as text.
struct TopFrame {
  let previous: TopSample
  let now: TopSample
  /// What is watched, for the heading.
  let title: String

  /// Seconds between the samples; never 0.
  private var seconds: Double { max(1e-3, Double(now.time &- previous.time) / 1e9) }

  /// The lines, cut off at `columns` characters, at most `rows` of them; nil for all.
  func lines(columns: Int?, rows: Int?) -> [String] {
    // Tables see to their cells.
    var lines = heading.map(ShownText.cleaned) + [""] + lcores + [""] + outputs
    let room = rows.map { max(0, $0 - lines.count - 2) } ?? now.flows.members.count
    if room > 0, !now.flows.members.isEmpty { lines += [""] + flows(room) }
    if let rows { lines = Array(lines.prefix(rows)) }
    guard let columns else { return lines }
    return lines.map { $0.count > columns ? String($0.prefix(max(0, columns - 1))) + "…" : $0 }
  }

  /// What arrives, and what the tables hold.
  private var heading: [String] {
    let packets = rate("received", in: now.stats, since: previous.stats)
    let bits = rate("bytes", in: now.stats, since: previous.stats) * 8
    let size = now.lcores.members.reduce(0) { $0 &+ $1.value.number("table_size") }
    let inTable = now.stats.number("in_table")
    let share = size > 0 ? ", \(percent(Double(inTable) / Double(size))) of their table" : ""
    return [
      "martlet \(title), up \(Self.span(upSeconds))",
      "\(Self.short(packets)) packets/s, \(Self.short(bits)) bit/s, \(Self.short(rate("flows_made", in: now.stats, since: previous.stats))) new flows/s, \(Self.short(Double(inTable))) flows\(share)",
      "lost: " + losses,
    ]
  }

  private var upSeconds: UInt64 {
    let start = now.stats.number("start_time")
    let time = Clock.system() / 1_000_000_000
    return time > start ? time &- start : 0
  }

  /// Counters of packets and records that do not go through, by name; those without any are left out.
  private var losses: String {
    let words = Self.losses.compactMap { name -> String? in
      let total = now.stats.number(name)
      guard total > 0 else { return nil }
      return
        "\(name.replacing("_", with: " ")) \(total) (\(Self.short(rate(name, in: now.stats, since: previous.stats)))/s)"
    }
    return words.isEmpty ? "nothing" : words.joined(separator: ", ")
  }

  /// Counters of what is lost.
  private static let losses = [
    "missed", "no_mbuf", "errors", "table_full", "lack_of_resources", "slab_full", "ring_full",
    "export_dropped",
    "spool_torn", "parser_faults", "export_faults",
  ]

  private var lcores: [String] {
    var rows = [["lcore", "role", "busy", "packets/s", "records/s", "flows", "ring"]]
    for member in now.lcores.members {
      let before = previous.lcores[member.name] ?? .other
      let isWorker = member.value.text("role") == "worker"
      let cycles = Self.growth("cycles", member.value, before)
      let busy = cycles > 0 ? Double(Self.growth("busy_cycles", member.value, before)) / Double(cycles) : 0
      let records = isWorker ? Self.ended : ["exported"]
      let ended = records.reduce(0) { $0 + rate($1, in: member.value, since: before) }
      let ring =
        Double(member.value.number("ring_records")) / Double(max(1, member.value.number("ring_size")))
      rows.append([
        member.name, member.value.text("role"), percent(min(1, busy)),
        isWorker ? Self.short(rate("received", in: member.value, since: before)) : "-", Self.short(ended),
        isWorker ? Self.short(Double(member.value.number("in_table"))) : "-", isWorker ? percent(ring) : "-",
      ])
    }
    return table(rows, [.left, .left, .right])
  }

  /// Counters of records that left a table.
  private static let ended = ["idle", "active", "ended", "forced", "lack_of_resources"]

  private var outputs: [String] {
    var rows = [["output", "lcore", "records/s", "bit/s", "sent", "lost", "waiting"]]
    for member in now.outputs.members {
      let before = previous.outputs[member.name] ?? .other
      let value = member.value
      rows.append([
        value.text("output"), String(value.number("lcore")),
        Self.short(rate("records", in: value, since: before)),
        Self.short(rate("message_bytes", in: value, since: before) * 8),
        Self.short(Double(value.number("sent"))),
        Self.short(Double(value.number("export_dropped"))), Self.short(Double(value.number("spool_waiting"))),
      ])
    }
    return table(rows, [.left, .right])
  }

  /// The largest flows, `count` of them at most.
  private func flows(_ count: Int) -> [String] {
    var rows = [["largest flows", "octets", "packets", "seconds", "lcore"]]
    for flow in now.flows.members.prefix(count).map(\.value) {
      rows.append([
        flow.text("flow"), Self.short(Double(flow.number("octets"))),
        Self.short(Double(flow.number("packets"))),
        CounterReport.fixed(Double(flow.number("milliseconds")) / 1000, digits: 1),
        String(flow.number("lcore")),
      ])
    }
    return table(rows, [.left, .right])
  }

  private func table(_ rows: [[String]], _ alignments: [TextTable.Alignment]) -> [String] {
    TextTable.text(rows, alignments).split(separator: "\n").map(String.init)
  }

  /// By how much a number grew in a second.
  private func rate(_ name: String, in value: JSONValue, since before: JSONValue) -> Double {
    Double(Self.growth(name, value, before)) / seconds
  }

  /// By how much a number grew; 0 where it did not.
  private static func growth(_ name: String, _ value: JSONValue, _ before: JSONValue) -> UInt64 {
    let (new, old) = (value.number(name), before.number(name))
    return new > old ? new &- old : 0
  }

  private func percent(_ share: Double) -> String { "\(ScaledNumber.whole(share * 100)) %" }

  /// A number in four or five characters: 999, 1.23k, 45.6M, 789G.
  static func short(_ value: Double) -> String {
    value < 1000 ? String(ScaledNumber.whole(max(0, value))) : ScaledNumber.scaled(value, "kMGTPE")
  }

  /// A span of time: 59 s, 12 min, 3 h 05 min, 4 d 02 h.
  static func span(_ seconds: UInt64) -> String {
    func two(_ number: UInt64) -> String { (number < 10 ? "0" : "") + String(number) }
    switch seconds {
    case ..<60: return "\(seconds) s"
    case ..<3600: return "\(seconds / 60) min"
    case ..<86400: return "\(seconds / 3600) h \(two(seconds / 60 % 60)) min"
    default: return "\(seconds / 86400) d \(two(seconds / 3600 % 24)) h"
    }
  }
}

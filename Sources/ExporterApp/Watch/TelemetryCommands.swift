// Commands on DPDK's telemetry socket, for dpdk-telemetry.py and `martlet top`. EAL calls them in threads of its own.
import CDPDK
import FlowCore
import Synchronization

/// `/martlet/…`: what a live run says of itself in JSON.
enum TelemetryCommands {
  /// What the commands look at; nil before and after.
  private static let shown = Mutex<RunView?>(nil)

  /// Has the commands show `view`, from the first call on also to who asks for the list of commands.
  static func show(_ view: RunView) {
    shown.withLock { $0 = view }
    rte_telemetry_register_cmd("/martlet/stats", stats, "Totals of all counters. No parameters.")
    rte_telemetry_register_cmd(
      "/martlet/lcores", lcores, "What each worker and export lcore does, with its counters. No parameters.")
    rte_telemetry_register_cmd(
      "/martlet/outputs", outputs, "What became of each output's records. No parameters.")
    rte_telemetry_register_cmd(
      "/martlet/flows", flows,
      "The flows with the most octets of those in the tables. Parameter: how many (10), 64 at most.")
  }

  /// The view, while there is one.
  private static var view: RunView? { shown.withLock { $0 } }

  /// Where a command has no answer; EAL says null then.
  private static let nothing: Int32 = -1

  private static let stats: telemetry_cb = { _, _, data in
    guard let snapshot = view?.snapshot else { return nothing }
    let answer = TelemetryAnswer(dictionary: data)
    answer.add("hertz", snapshot.hertz)
    answer.add("start_time", UInt64(snapshot.startTime))
    for counter in CounterTable.all { answer.add(counter.word, snapshot.counters.total(counter)) }
    return 0
  }

  private static let lcores: telemetry_cb = { _, _, data in
    guard let snapshot = view?.snapshot else { return nothing }
    let answer = TelemetryAnswer(dictionary: data)
    for entry in snapshot.lcores {
      answer.add(String(entry.lcore)) { lcore in
        lcore.add("role", entry.role)
        lcore.add("polls", entry.activity.polls)
        lcore.add("cycles", entry.activity.cycles)
        lcore.add("busy_cycles", entry.activity.busyCycles)
        if let fill = snapshot.fills.first(where: { $0.lcore == entry.lcore }) {
          lcore.add("ring_records", UInt64(clamping: fill.ringRecords))
          lcore.add("ring_size", UInt64(clamping: fill.ringSize))
          lcore.add("table_size", UInt64(clamping: fill.tableSize))
        }
        add(
          snapshot.counters, .worker, snapshot.counters.workers.firstIndex { $0.lcore == entry.lcore }, lcore)
        add(
          snapshot.counters, .export, snapshot.counters.exporters.firstIndex { $0.lcore == entry.lcore },
          lcore)
      }
    }
    return 0
  }

  private static let outputs: telemetry_cb = { _, _, data in
    guard let counters = view?.snapshot?.counters else { return nothing }
    let answer = TelemetryAnswer(dictionary: data)
    let names = counters.exporters.flatMap { exporter in exporter.outputs.map { (exporter.lcore, $0) } }
    for (index, (lcore, output)) in names.enumerated() {
      answer.add(String(index + 1)) { entry in
        entry.add("output", output.name)
        entry.add("lcore", UInt64(lcore))
        entry.add("records", output.counters.records)
        entry.add("sent", output.counters.sentRecords)
        add(counters, .output, index, entry)
      }
    }
    return 0
  }

  private static let flows: telemetry_cb = { _, parameters, data in
    let text = parameters.map { String(cString: $0) } ?? ""
    guard let count = text.isEmpty ? 10 : Int(text), count > 0, let view,
      let flows = view.largestFlows(min(count, RunView.mostFlows))
    else { return nothing }
    let answer = TelemetryAnswer(dictionary: data)
    for (index, flow) in flows.enumerated() {
      answer.add(String(index + 1)) { entry in
        entry.add("flow", FlowText.text(flow))
        entry.add("octets", flow.octets)
        entry.add("packets", flow.packets)
        entry.add("milliseconds", (flow.last &- flow.first) / 1_000_000)
        entry.add("lcore", UInt64(view.lcore(worker: flow.worker)))
      }
    }
    return 0
  }

  /// Adds the counters of `scope` that the one at `index` counted, without zeros: an answer has room for 16 KiB.
  private static func add(
    _ counters: CounterSnapshot, _ scope: Counter.Scope, _ index: Int?, _ answer: TelemetryAnswer
  ) {
    guard let index else { return }
    for counter in CounterTable.all where counter.scope == scope {
      let value = counters.values(counter)[index]
      if value != 0 { answer.add(counter.word, value) }
    }
  }
}

/// An answer that is being made; what finds no room in it is left out.
private struct TelemetryAnswer {
  private let data: OpaquePointer?

  /// An answer with names.
  init(dictionary data: OpaquePointer?) {
    self.data = data
    rte_tel_data_start_dict(data)
  }

  func add(_ name: String, _ value: UInt64) { rte_tel_data_add_dict_u64(data, name, value) }

  /// Text of 127 characters at most, those that are not of ASCII replaced by '?': DPDK 22.11 takes their octets for control
  /// characters, and makes of them what is no JSON.
  func add(_ name: String, _ value: String) {
    let text = value.unicodeScalars.prefix(Int(RTE_TEL_MAX_STRING_LEN) - 1).map {
      $0.isASCII ? Character($0) : "?"
    }
    rte_tel_data_add_dict_string(data, name, String(text))
  }

  /// An answer under a name.
  func add(_ name: String, _ fill: (TelemetryAnswer) -> Void) {
    guard let inner = rte_tel_data_alloc() else { return }
    fill(TelemetryAnswer(dictionary: inner))
    if rte_tel_data_add_dict_container(data, name, inner, 0) != 0 { rte_tel_data_free(inner) }
  }
}

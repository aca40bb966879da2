// The counters: one declaration each, and the line, the tables and the list that follow from it.
import CIntrinsics
import FlowCore
import IPFIX
import Testing

@testable import ExporterApp

@Suite struct CounterReportTests {
  @Test func everyCounterIsInTheLineOnce() {
    var snapshot = CounterSnapshot()
    var loop = LcoreCounters()
    loop.received = 3_000_000
    snapshot.workers = [.init(lcore: 2, loop: loop), .init(lcore: 3, loop: loop)]
    snapshot.ports = [.init(port: 0)]
    let line = CounterReport.line(snapshot, previous: CounterSnapshot(), seconds: 2)
    #expect(line.hasPrefix("received=6000000 rate=3.000Mpps bytes=0"))
    #expect(Set(CounterTable.all.map(\.name)).count == CounterTable.all.count)
    for counter in CounterTable.all { #expect(line.contains(counter.name.replacing(" ", with: "_") + "=")) }
  }

  @Test func totalsHaveAColumnPerLcoreAndASum() {
    var snapshot = CounterSnapshot()
    var loop = LcoreCounters()
    loop.received = 21
    snapshot.workers = [.init(lcore: 2, loop: loop), .init(lcore: 3, loop: loop)]
    let row = CounterReport.totals(snapshot).split(separator: "\n").first { $0.contains("received") }
    #expect(row?.split(separator: " ") == ["received", "21", "21", "42"])
  }

  @Test func faultsAreToldByPlugin() {
    var snapshot = CounterSnapshot()
    snapshot.workers = [.init(lcore: 2), .init(lcore: 3)]
    snapshot.exporters = [.init(lcore: 1)]
    snapshot.plugins = ["phists", "tls"]
    #expect(snapshot.faults.isEmpty)
    #expect(CounterReport.warnings(snapshot).isEmpty)
    #expect(!CounterReport.totals(snapshot).contains("parser faults of"))

    snapshot.workers[0].engine.parserFaults[0] = 1
    snapshot.workers[0].engine.parserFaults[2] = 20
    snapshot.workers[1].engine.parserFaults[2] = 300
    snapshot.exporters[0].counters.parserFaults[2] = 4000
    snapshot.exporters[0].counters.parserFaults[3] = 50
    let rows = CounterReport.totals(snapshot).split(separator: "\n").map { $0.split(separator: " ") }
    #expect(rows.contains(["parser", "faults", "21", "300", "321"]))
    #expect(rows.contains(["export", "faults", "4050"]))
    #expect(rows.contains(["engine", "1"]))
    #expect(rows.contains(["plugin", "tls", "4320"]))
    #expect(rows.contains(["plugin", "number", "2", "50"]))
    let warnings = CounterReport.warnings(snapshot)
    #expect(warnings.count == 3)
    #expect(warnings[1].contains("plugin tls") && warnings[1].contains("4320 times"))
    let line = CounterReport.line(snapshot, previous: CounterSnapshot(), seconds: 1)
    #expect(line.contains("parser_faults=321") && line.contains("export_faults=4050"))
  }

  @Test func decimalsAreFixed() {
    #expect(
      CounterReport.fixed(1.2345, digits: 3) == "1.235" || CounterReport.fixed(1.2345, digits: 3) == "1.234")
    #expect(CounterReport.fixed(0.05, digits: 1) == "0.1")
    #expect(CounterReport.fixed(12, digits: 2) == "12.00")
  }

  /// What each collector lost stands in its column, records that both got are counted once.
  @Test func outputsHaveAColumnEachAndASum() {
    var snapshot = CounterSnapshot()
    var near = CounterSnapshot.OutputEntry(name: "json:-")
    near.counters.records = 7
    var far = CounterSnapshot.OutputEntry(name: "udp://far")
    far.counters.records = 7
    far.counters.lostRecords = 4
    snapshot.exporters = [.init(lcore: 1, outputs: [near, far])]
    snapshot.exporters[0].counters.records = 7
    let rows = CounterReport.totals(snapshot).split(separator: "\n").map { $0.split(separator: " ") }
    #expect(rows.contains(["counter", "json:-", "udp://far", "total"]))
    #expect(rows.contains(["exported", "7", "7", "7"]))
    #expect(rows.contains(["export", "dropped", "0", "4", "4"]))
    snapshot.exporters[0].outputs = [far]
    let single = CounterReport.totals(snapshot).split(separator: "\n").map { $0.split(separator: " ") }
    #expect(single.contains(["counter", "export"]) && single.contains(["export", "dropped", "4"]))
  }

  /// Two export lcores: each has its own column, outputs are told apart by their lcore.
  @Test func severalExportLcoresHaveAColumnEach() {
    var snapshot = CounterSnapshot()
    snapshot.exporters = [
      .init(lcore: 1, outputs: [.init(name: "csv:a")]), .init(lcore: 2, outputs: [.init(name: "csv:b")]),
    ]
    snapshot.exporters[0].counters.records = 3
    snapshot.exporters[0].outputs[0].counters.records = 3
    snapshot.exporters[1].counters.records = 40
    snapshot.exporters[1].outputs[0].counters.records = 40
    let rows = CounterReport.totals(snapshot).split(separator: "\n").map { $0.split(separator: " ") }
    #expect(rows.contains(["counter", "lcore", "1", "csv:a", "lcore", "2", "csv:b", "total"]))
    #expect(rows.contains(["counter", "lcore", "1", "lcore", "2", "total"]))
    #expect(rows.count { $0 == ["exported", "3", "40", "43"] } == 2)
    let line = CounterReport.line(snapshot, previous: CounterSnapshot(), seconds: 1)
    #expect(line.contains("exported=43"))
  }
}

@Suite struct CounterTableTests {
  /// The sizes in `WorkerCounters` are numbers: a further case of an enumeration must find its place there.
  @Test func everyReasonAndPassHasACounter() {
    let counters = WorkerCounters()
    #expect(DiscardReason.allCases.map { Int($0.rawValue) } == Array(counters.discarded.indices))
    #expect(FlowEndReason.allCases.map { Int($0.rawValue) } == Array(counters.ended.indices))
    #expect(Pass.allCases.map(\.rawValue) == Array(counters.cycles.indices))
    #expect(counters.parserFaults.count == Int(MARTLET_TRACE_SLOTS))
    #expect(ExporterCounters().parserFaults.count == counters.parserFaults.count)
  }

  /// Each reason is read from its own element, with another value in each.
  @Test func everyReasonIsReadFromItsElement() throws {
    var worker = CounterSnapshot.WorkerEntry(lcore: 1)
    for reason in DiscardReason.allCases {
      worker.engine.discarded[Int(reason.rawValue)] = 100 + UInt64(reason.rawValue)
    }
    for reason in FlowEndReason.allCases {
      worker.engine.ended[Int(reason.rawValue)] = 200 + UInt64(reason.rawValue)
    }
    var snapshot = CounterSnapshot()
    snapshot.workers = [worker]
    func total(_ name: String) throws -> UInt64 {
      snapshot.total(try #require(CounterTable.all.first { $0.name == name }))
    }
    for reason in DiscardReason.allCases {
      #expect(try total(reason.name) == 100 + UInt64(reason.rawValue))
    }
    for reason in FlowEndReason.allCases where reason != .none {
      #expect(try total(reason.name.description) == 200 + UInt64(reason.rawValue))
    }
  }

  /// Checks outside read these names and this order.
  @Test func namesStayAsTheyAre() {
    #expect(
      CounterTable.all.map(\.word) == [
        "received", "bytes", "linearised", "times_refused", "missed", "no_mbuf", "errors", "filtered",
        "filtered_bytes", "not_sampled", "not_sampled_bytes", "fragments", "tunnelled", "outer_packets",
        "tunnel_not_opened", "tunnels_too_deep", "not_IP", "link_header_truncated", "too_many_headers",
        "IP_header_invalid", "IP_header_truncated", "transport_header_truncated", "TCP_header_invalid",
        "tunnel_fragment", "flows_made", "in_table", "idle", "active", "ended", "forced",
        "lack_of_resources", "packets_in_flows", "table_full", "slab_full", "fingerprint_left_out",
        "scores_unusable",
        "stream_gaps", "stream_lost", "stream_full", "records_left_out", "parser_faults", "ring_full",
        "exported", "messages", "templates", "oversize", "message_bytes", "export_faults", "looked_up",
        "database_errors", "TLS_refused", "spooled", "spool_delivered", "spool_waiting", "sent_again",
        "spool_torn", "export_dropped", "queue_full", "spool_full", "disk_error", "unacknowledged",
        "no_address", "send_failed", "too_long", "shortened", "options", "acknowledged",
        "delivery_timed_out", "delivery_refused", "delivery_unknown", "delivery_given_up",
      ])
  }

  @Test func theListHasALineForEachCounter() {
    let lines = CounterList.text.split(separator: "\n")
    #expect(lines.count == CounterTable.all.count + 1)
    for (line, counter) in zip(lines.dropFirst(), CounterTable.all) {
      #expect(line.hasPrefix(counter.name + " ") && line.hasSuffix(counter.help))
      #expect(line.contains(" \(counter.kind.rawValue) ") && line.contains(" \(counter.unit.rawValue) "))
    }
    #expect(CounterTable.all.filter { $0.kind == .gauge }.map(\.name) == ["in table", "spool waiting"])
  }
}

// The clock of the worker lcores: it follows the system's clock and never goes back by itself.
import CDPDK
import Testing

@testable import ExporterApp

@Suite struct ClockTests {
  /// A counter of 1 GHz, so that cycles are nanoseconds.
  @Test func smallDifferencesAreWorkedOffWithoutGoingBack() {
    var clock = Clock(hertz: 1_000_000_000)
    var cycles = martlet_tsc()
    var system = clock.time(at: cycles) - 30_000_000
    var last = clock.time(at: cycles)
    for _ in 0..<3 {
      clock.correct(cycles: cycles, system: system)
      cycles += 1_000_000_000
      system += 1_000_000_000
      let now = clock.time(at: cycles)
      #expect(now > last)
      last = now
    }
    #expect(Int64(last) - Int64(system) < 100_000)
    #expect(Int64(last) - Int64(system) > -100_000)
  }

  @Test func aClockThatWasSetIsFollowed() {
    var clock = Clock(hertz: 1_000_000_000)
    let cycles = martlet_tsc()
    let system = clock.time(at: cycles) - 3_600_000_000_000
    clock.correct(cycles: cycles, system: system)
    #expect(clock.time(at: cycles) == system)
    #expect(clock.time(at: cycles + 500) == system + 500 || clock.time(at: cycles + 500) == system + 499)
  }
}

@Suite struct CounterReportTests {
  @Test func everyCounterIsInTheLineOnce() {
    var snapshot = CounterSnapshot()
    var loop = LcoreCounters()
    loop.received = 3_000_000
    snapshot.workers = [(2, loop, .init()), (3, loop, .init())]
    snapshot.ports = [(0, .init())]
    let line = CounterReport.line(snapshot, previous: CounterSnapshot(), seconds: 2)
    #expect(line.hasPrefix("received=6000000 rate=3.000Mpps bytes=0"))
    #expect(Set(CounterTable.all.map(\.name)).count == CounterTable.all.count)
    for counter in CounterTable.all { #expect(line.contains(counter.name.replacing(" ", with: "_") + "=")) }
  }

  @Test func totalsHaveAColumnPerLcoreAndASum() {
    var snapshot = CounterSnapshot()
    var loop = LcoreCounters()
    loop.received = 21
    snapshot.workers = [(2, loop, .init()), (3, loop, .init())]
    let row = CounterReport.totals(snapshot).split(separator: "\n").first { $0.contains("received") }
    #expect(row?.split(separator: " ") == ["received", "21", "21", "42"])
  }

  @Test func faultsAreToldByPlugin() {
    var snapshot = CounterSnapshot()
    snapshot.workers = [(2, .init(), .init()), (3, .init(), .init())]
    snapshot.plugins = ["phists", "tls"]
    #expect(snapshot.faults.isEmpty)
    #expect(CounterReport.warnings(snapshot).isEmpty)
    #expect(!CounterReport.totals(snapshot).contains("parser faults of"))

    snapshot.workers[0].engine.parserFaults[0] = 1
    snapshot.workers[0].engine.parserFaults[2] = 20
    snapshot.workers[1].engine.parserFaults[2] = 300
    snapshot.exportFaults[2] = 4000
    snapshot.exportFaults[3] = 50
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
}

// The --stats line of a terminal, by arithmetic by hand.
import Testing

@testable import ExporterApp

@Suite struct RateLineTests {
  private func snapshot(_ change: (inout CounterSnapshot) -> Void = { _ in }) -> CounterSnapshot {
    var snapshot = CounterSnapshot()
    snapshot.workers = [.init(lcore: 2), .init(lcore: 3)]
    snapshot.ports = [.init(port: 0)]
    snapshot.exporters = [.init(lcore: 1)]
    change(&snapshot)
    return snapshot
  }

  private func line(_ now: CounterSnapshot, seconds: Double = 2) -> String {
    RateLine(now, previous: snapshot(), seconds: seconds, capacity: 1000).text
  }

  @Test func ratesAreOfTheTimeSinceTheLineBefore() {
    let now = snapshot {
      $0.workers[0].loop.received = 3_000_000
      $0.workers[0].loop.bytes = 250_000_000
      $0.workers[0].loop.activity.lastCycles = 4_000_000_000
      $0.workers[0].loop.activity.busyCycles = 1_000_000_000
      $0.workers[1].loop.activity.lastCycles = 4_000_000_000
      $0.workers[1].loop.activity.busyCycles = 3_000_000_000
      $0.workers[0].engine.flowsMade = 500
      $0.workers[0].engine.inTable = 250
      $0.exporters[0].activity.lastCycles = 4_000_000_000
      $0.exporters[0].activity.busyCycles = 40_000_000
    }
    #expect(line(now) == " 1.500 Mpps    1.000 Gbit/s    250 flows  25%    250 new/s  busy 25-75%  export 1%")
  }

  @Test func lossesHaveTheirNames() {
    let now = snapshot {
      $0.ports[0].counters.missed = 1_234_567
      $0.workers[1].loop.ringFull = 7
    }
    #expect(line(now).hasSuffix("  LOST missed 1.23M, ring full 7"))
  }

  /// With the program's name in front, whatever the numbers are.
  @Test func itFitsAHundredColumns() {
    let now = snapshot {
      for index in 0..<2 {
        $0.workers[index].loop.received = .max / 4
        $0.workers[index].loop.bytes = .max / 4
        $0.workers[index].loop.ringFull = .max / 4
        $0.workers[index].engine.inTable = .max / 4
        $0.workers[index].engine.flowsMade = .max / 4
        $0.workers[index].engine.tableFull = .max / 4
      }
      $0.ports[0].counters.missed = .max
      $0.ports[0].counters.errors = .max
    }
    #expect("martlet: ".count + line(now, seconds: 0.01).count <= RateLine.columns)
  }

  @Test(
    arguments: [
      (0, "0"), (99_999, "99999"), (100_000, "100K"), (1_234_567, "1.23M"), (12_345_678, "12.3M"),
      (999_600_000, "1.00G"), (.max, "18.4E"),
    ] as [(UInt64, String)])
  func numbersAreScaled(value: UInt64, text: String) { #expect(ScaledNumber.text(value) == text) }
}

@Suite struct GroupedTotalsTests {
  @Test func zerosAreLeftOut() {
    var snapshot = CounterSnapshot()
    snapshot.workers = [.init(lcore: 2), .init(lcore: 3)]
    snapshot.workers[1].loop.received = 21
    let rows = CounterReport.grouped(snapshot).split(separator: "\n").map { $0.split(separator: " ") }
    #expect(rows == [["packets", "lcore", "2", "lcore", "3", "total"], ["received", "0", "21", "21"]])
  }

  /// Five milliseconds of work in a second say nothing of a packet.
  @Test func anIdleWorkerHasNoCost() {
    var snapshot = CounterSnapshot()
    snapshot.workers = [.init(lcore: 2)]
    snapshot.workers[0].loop.received = 5
    snapshot.workers[0].loop.nanoseconds = 1_000_000_000
    snapshot.workers[0].loop.activity.lastCycles = 1_000_000_000
    snapshot.workers[0].loop.activity.busyCycles = 5_000_000
    #expect(!CounterReport.totals(snapshot).contains("CPU ns"))
    snapshot.workers[0].loop.activity.busyCycles = 900_000_000
    #expect(CounterReport.totals(snapshot).contains("CPU ns per packet"))
  }
}

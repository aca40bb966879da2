// The clock of the worker lcores: it follows the system's clock and never goes back by itself.
import Testing

@testable import ExporterApp

@Suite struct ClockTests {
  /// A counter of 1 GHz, so that cycles are nanoseconds.
  @Test func smallDifferencesAreWorkedOffWithoutGoingBack() {
    var clock = Clock(hertz: 1_000_000_000)
    var cycles = Clock.cycles()
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
    let cycles = Clock.cycles()
    let system = clock.time(at: cycles) - 3_600_000_000_000
    clock.correct(cycles: cycles, system: system)
    #expect(clock.time(at: cycles) == system)
    #expect(clock.time(at: cycles + 500) == system + 500 || clock.time(at: cycles + 500) == system + 499)
  }
}

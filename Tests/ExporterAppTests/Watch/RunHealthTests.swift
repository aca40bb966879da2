// What /healthz, /readyz and the watchdog go by, and what a port's changes are called.
import Testing

@testable import ExporterApp

@Suite struct RunHealthTests {
  private let second: UInt64 = 1_000_000_000

  @Test func aLoopThatStandsStillIsSaidOnce() {
    let health = RunHealth()
    #expect(health.look([(2, 1), (3, 1)], now: second).stalled == [])
    #expect(health.look([(2, 2), (3, 1)], now: 6 * second).stalled == [])
    #expect(health.isAlive && health.alive.status == 200)
    // Lcore 3 has had more than five seconds.
    #expect(health.look([(2, 3), (3, 1)], now: 7 * second).stalled == [3])
    #expect(health.look([(2, 4), (3, 1)], now: 8 * second).stalled == [])
    #expect(!health.isAlive && health.alive.status == 503 && health.alive.body.contains("lcore 3:"))
    #expect(health.look([(2, 5), (3, 2)], now: 9 * second).resumed == [3])
    #expect(health.isAlive)
  }

  @Test func readinessFollowsTheRun() {
    let health = RunHealth()
    #expect(health.ready.status == 503)
    health.enter(.running)
    #expect(health.ready.status == 200)
    health.enter(.ending)
    #expect(health.ready.status == 503 && health.ready.body == "ending\n")
  }

  @Test func changesOfPortsAreSaid() {
    let up = PortState(isUp: true, megabits: 25_000)
    let down = PortState(isUp: false, changes: 1)
    #expect(PublishedDevices.changes("port 0 (a)", from: up, to: up) == [])
    #expect(PublishedDevices.changes("port 0 (a)", from: up, to: down) == ["port 0 (a): link is down"])
    #expect(
      PublishedDevices.changes(
        "port 0 (a)", from: down, to: PortState(isUp: true, megabits: 25_000, changes: 2))
        == ["port 0 (a): link is up, 25000 Mbit/s"])
    #expect(
      PublishedDevices.changes(
        "port 0 (a)", from: up, to: PortState(isUp: true, megabits: 25_000, changes: 2))
        == ["port 0 (a): link was down and is up again, 25000 Mbit/s"])
    let gone = PublishedDevices.changes("port 0 (a)", from: up, to: PortState(isGone: true))
    #expect(gone.count == 1 && gone[0].hasPrefix("port 0 (a) has gone away"))
  }
}

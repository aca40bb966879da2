// Whether a live run does what it is there for: what `/healthz`, `/readyz` and systemd's watchdog are told.
import Synchronization

/// The phase of the run, and the lcores whose loops stand still.
final class RunHealth: Sendable {
  /// Where the run is.
  enum Phase: Sendable, Equatable {
    case starting
    case running
    case ending
  }

  /// An lcore's polls as they were seen last, and since when they are that many.
  private struct Pulse {
    var polls: UInt64
    var since: UInt64
  }

  private struct State {
    var phase = Phase.starting
    var pulses: [UInt32: Pulse] = [:]
    var stalled: [UInt32] = []
  }

  private let state = Mutex(State())

  /// Nanoseconds without a poll after which a loop stands still: nothing that an lcore does takes nearly as long.
  static let patience: UInt64 = 5_000_000_000

  /// The run has come to `phase`.
  func enter(_ phase: Phase) { state.withLock { $0.phase = phase } }

  /// Looks at the loops.
  ///
  /// - Parameters:
  ///   - lcores: each with its polls.
  ///   - now: nanoseconds of the monotonic clock.
  /// - Returns: the lcores that have come to stand still, and those that go on again.
  func look(_ lcores: [(lcore: UInt32, polls: UInt64)], now: UInt64) -> (stalled: [UInt32], resumed: [UInt32])
  {
    state.withLock { state in
      for (lcore, polls) in lcores where state.pulses[lcore]?.polls != polls {
        state.pulses[lcore] = Pulse(polls: polls, since: now)
      }
      let stalled = lcores.map(\.lcore).filter { lcore in
        now &- (state.pulses[lcore]?.since ?? now) > Self.patience
      }
      let before = state.stalled
      state.stalled = stalled
      return (stalled.filter { !before.contains($0) }, before.filter { !stalled.contains($0) })
    }
  }

  /// Whether every loop goes round.
  var isAlive: Bool { state.withLock { $0.stalled.isEmpty } }

  /// `/healthz`: 200 where every loop goes round.
  var alive: WebResponse {
    let stalled = state.withLock { $0.stalled }
    guard !stalled.isEmpty else { return WebResponse(body: "ok\n") }
    let lcores = stalled.map(String.init).joined(separator: ", ")
    return WebResponse(
      status: 503, body: "lcore \(lcores): no poll for \(Self.patience / 1_000_000_000) seconds\n")
  }

  /// `/readyz`: 200 where packets are being received.
  var ready: WebResponse {
    switch state.withLock({ $0.phase }) {
    case .starting: WebResponse(status: 503, body: "starting\n")
    case .running: WebResponse(body: "ok\n")
    case .ending: WebResponse(status: 503, body: "ending\n")
    }
  }
}

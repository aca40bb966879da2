// Everything through which a live run is watched from outside, started and ended together: metrics over HTTP, DPDK's telemetry
// socket, systemd. The control lcore looks at the lcores' loops for all of them.
import FlowCore
import Glibc

/// Who watches a live run.
final class Watch {
  private let view: RunView
  private let health = RunHealth()
  private let manager = ServiceManager()
  private let server: WebServer?
  private var isEnding = false
  private var nextLook: UInt64 = 0
  private var nextSign: UInt64 = 0

  /// Nanoseconds from one look at the loops to the next.
  private static let interval: UInt64 = 1_000_000_000

  /// Shows `control`'s run, whose lcores are still to be started.
  ///
  /// - Parameters:
  ///   - masking: what becomes of flows' addresses, as in records.
  ///   - socket: where metrics are asked for; nil for nowhere.
  /// - Throws: the server does not start.
  init(
    _ control: ControlLoop, ports: [Port], masking: AddressMasking?, socket: consuming ListeningSocket?
  ) throws(Failure) {
    view = RunView(control, ports: ports, masking: masking)
    if let socket {
      let pages = MetricsPages(view: view, health: health)
      server = try WebServer(socket) { pages.answer($0) }
    } else {
      server = nil
    }
    TelemetryCommands.show(view)
  }

  /// The lcores run.
  func begun() {
    health.enter(.running)
    manager.ready()
  }

  /// Looks at the loops, at most once a second, and says where one has come to stand still; feeds the watchdog as long as none
  /// does. Only by the control lcore.
  ///
  /// - Parameter now: nanoseconds of the monotonic clock.
  func look(now: UInt64) {
    guard now >= nextLook else { return }
    nextLook = now &+ Self.interval
    server?.closeOld(now: now)
    // Lcores that have done their work poll no more.
    if isEnding { return feed(now) }
    let lcores = view.activities.map { ($0.lcore, $0.activity.polls) }
    let (stalled, resumed) = health.look(lcores, now: now)
    for lcore in stalled {
      logger.warning(
        "lcore \(lcore) has not polled for \(RunHealth.patience / 1_000_000_000) s: its CPU is taken, or it hangs"
      )
    }
    for lcore in resumed { logger.info("lcore \(lcore) polls again") }
    if health.isAlive { feed(now) }
  }

  /// Says that the process is alive, as often as it is asked to.
  private func feed(_ now: UInt64) {
    guard let interval = manager.watchdogInterval, now >= nextSign else { return }
    nextSign = now &+ interval
    manager.alive()
  }

  /// The run ends: loops may stand still, while others take what is left.
  func ending() {
    isEnding = true
    health.enter(.ending)
    manager.stopping()
  }

  /// Nobody watches any more: before EAL takes the memory back.
  func close() {
    server?.stop()
    view.close()
  }
}

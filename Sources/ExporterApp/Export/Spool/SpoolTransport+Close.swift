// The end of a run with a spool: what the collector does not get in time is on the disk, for the next run.
import Glibc
import Wire

extension SpoolTransport {
  /// Nanoseconds that who is not connected gets for a connection.
  private static let connectPatience: UInt64 = 1_000_000_000
  /// Nanoseconds that the disk gets beyond the end of the time for the collector.
  private static let diskPatience: UInt64 = 500_000_000
  /// Nanoseconds that a collector which has everything gets to end its side, and TCP to follow TLS in that.
  private static let farewell: UInt64 = 2_000_000_000
  private static let lastWord: UInt64 = 200_000_000

  func close(announcement: () -> SharedBytes) {
    var progressAt = Clock.monotonic()
    var confirmed = window.confirmed
    while window.confirmed.message < taken.message {
      let now = Moment.current
      _ = work(now, announcement)
      // What is sent again and again is no progress.
      if window.confirmed.message > confirmed.message { progressAt = now.monotonic }
      confirmed = SpoolPosition.later(confirmed, window.confirmed)
      if let reason = connection.detectEnd() { broken(now, reason) }
      let span = now.monotonic &- min(now.monotonic, progressAt)
      guard connection.isOpen || span < Self.connectPatience else { break }
      guard span < Drain.timeout, !Drain.isOver else { break }
      usleep(1000)
    }
    finishConnection()
    isClosing = true
    settle(.current)
    // Offline there is no bound on the end, but one on a disk that stands still.
    let now = Clock.monotonic()
    let end = Drain.deadline == UInt64.max ? now &+ Drain.timeout : Drain.deadline
    spool.close(deadline: max(end, now &+ Self.diskPatience))
    let onDisk = SpoolPosition.later(spool.report.written, window.confirmed)
    lose(Int(clamping: onDisk.records(to: taken)))
    let waiting = window.confirmed.records(to: onDisk)
    if waiting > 0 {
      logger.info(
        "\(name): \(waiting) records wait in \(spool.path); the next run with this --spool sends them")
    }
  }

  /// Ends the connection. A collector that ends its side has read everything; of one that does not in time what is in doubt
  /// stays, for the next run.
  private func finishConnection() {
    var hasRead = false
    if connection.isOpen {
      connection.finishSending()
      var end = min(
        Clock.monotonic() &+ Self.farewell, max(Drain.deadline, Clock.monotonic() &+ Self.lastWord))
      var hasEnded = false
      while !hasRead, Clock.monotonic() < end {
        if connection.detectEnd() != nil, !hasEnded {
          hasEnded = true
          end = min(end, Clock.monotonic() &+ Self.lastWord)
        }
        hasRead = connection.endedInOrder
        if !hasRead { usleep(1000) }
      }
    }
    settle(.current)
    endSession(inOrder: hasRead)
    connection.disconnect(.current, failed: false)
  }
}

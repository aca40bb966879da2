// How one thread wakes another that waits for work.
import Glibc

/// A counting semaphore.
///
/// Safe between threads: semaphores are for several threads, and the pointer to it does not change.
final class Semaphore: @unchecked Sendable {
  private let semaphore: UnsafeMutablePointer<sem_t>

  /// Nobody has signalled yet.
  init() {
    semaphore = .allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  /// Lets one wait end, now or later.
  func signal() { sem_post(semaphore) }

  /// Sleeps until somebody signals.
  func wait() { sem_wait(semaphore) }

  /// Sleeps until somebody signals, at most so long.
  func wait(milliseconds: Int) { wait(until: Clock.system() &+ UInt64(clamping: milliseconds) &* 1_000_000) }

  /// Sleeps until somebody signals, at most until `end`, in nanoseconds since 1970.
  func wait(until end: UInt64) {
    var time = timespec(
      tv_sec: Int(clamping: end / 1_000_000_000), tv_nsec: Int(clamping: end % 1_000_000_000))
    sem_timedwait(semaphore, &time)
  }

  /// Forgets the signals that came and were not waited for.
  func clear() { while sem_trywait(semaphore) == 0 {} }
}

// A lock that a child of fork can use. Swift's Mutex notes in each thread which one it is, and a child's first thread notes what it
// was in its parent: whoever waits for it there ends the process. Python forks, with the library in it.
import Glibc

/// A value behind a lock.
///
/// Safe between threads: the value is reached under the mutex alone.
public final class Guarded<Value>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private var value: Value

  public init(_ value: sending Value) {
    mutex = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    self.value = value
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Calls `body` with the value, which no other thread sees meanwhile. It must not ask for the same lock.
  public func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&value)
  }
}

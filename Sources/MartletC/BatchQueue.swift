// Where batches wait between the threads that make them and the consumer: bounded, so that reading is never far ahead.
import CArrow
import Glibc

/// Finished batches, first in, first out.
///
/// Safe between threads: everything changes under the mutex.
final class BatchQueue: @unchecked Sendable {
  /// What `next` found.
  enum Next {
    case batch(ArrowArray)
    /// Nobody makes any more.
    case end
  }

  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private var batches: [ArrowArray] = []
  private let room: Int
  private var producers: Int
  private var isStopped = false

  /// A queue for so many batches, which so many threads fill.
  init(room: Int, producers: Int) {
    mutex = .allocate(capacity: 1)
    changed = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
    self.room = max(room, 1)
    self.producers = producers
  }

  deinit {
    for index in batches.indices { batches[index].release(&batches[index]) }
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// Adds a batch, when there is room; the queue owns it from here on. After `stop` there always is.
  func push(_ batch: ArrowArray) {
    locked {
      while batches.count >= room, !isStopped { pthread_cond_wait(changed, mutex) }
      batches.append(batch)
      pthread_cond_broadcast(changed)
    }
  }

  /// One thread fewer adds batches.
  func leave() {
    locked {
      producers -= 1
      pthread_cond_broadcast(changed)
    }
  }

  /// Lets nobody wait any longer for room.
  func stop() {
    locked {
      isStopped = true
      pthread_cond_broadcast(changed)
    }
  }

  /// The next batch, which the caller owns; waits for it.
  func next() -> Next {
    locked {
      while batches.isEmpty, producers > 0 { pthread_cond_wait(changed, mutex) }
      guard !batches.isEmpty else { return .end }
      let batch = batches.removeFirst()
      pthread_cond_broadcast(changed)
      return .batch(batch)
    }
  }

  private func locked<Result>(_ body: () -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }
}

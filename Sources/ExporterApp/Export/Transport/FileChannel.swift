// What the lcore that exports and the thread that writes a file share: the queue between them, and what became of the records.
import Synchronization

/// A bounded queue of chunks with one thread at each end.
///
/// Safe between threads: `state` has its lock, and the rest does not change.
final class FileChannel: @unchecked Sendable {
  private struct State: ~Copyable {
    var queue = FileQueue()
    var octets = 0
    var counters = OutputCounters()
    var failure: ExportError?
    var status = ""
    /// Why a file did not become complete, last.
    var forfeit = ""
    /// Records of the chunk that is being written and not yet counted.
    var current = 0
    /// Records that count as sent and are in a file that is not complete yet.
    var unpublished: UInt64 = 0
    /// Nanoseconds of the monotonic clock since when nothing could be written for an error; 0 when all is well.
    var stuckSince: UInt64 = 0
    var isClosing = false
    var isDone = false
    /// The owner has counted what was left: the thread counts nothing any more.
    var isAbandoned = false
    var hasGap = false
  }

  private let state = Mutex(State())
  private let policy: OverloadPolicy
  private let capacity: Int
  /// The file's name for messages.
  let path: String
  private let work = Semaphore()
  private let progress = Semaphore()

  /// A queue of at most `capacity` octets.
  init(path: String, policy: OverloadPolicy, capacity: Int) {
    self.path = path
    self.policy = policy
    self.capacity = capacity
  }

  /// What was written and lost so far.
  var counters: OutputCounters { state.withLock { $0.counters } }
  /// What ended the output for good.
  var failure: ExportError? { state.withLock { $0.failure } }
  /// What is wrong now, or why a file was forfeited; empty when all is well.
  var status: String { state.withLock { $0.status.isEmpty ? $0.forfeit : $0.status } }

  // The owner's side.

  /// Queues a chunk. Offline it waits for room; live, and where writing fails for too long, its records are counted as lost.
  func push(_ chunk: FileChunk) {
    var waits = true
    while true {
      let isTaken = state.withLock { state in
        if state.isDone || state.isAbandoned {
          state.counters.lose(chunk.records, .diskError)
          return true
        }
        guard state.octets &+ chunk.bytes.count <= capacity || state.queue.first == nil else {
          guard waits, mayWait(state) else {
            state.counters.lose(chunk.records, state.stuckSince == 0 ? .queueFull : .diskError)
            state.hasGap = true
            return true
          }
          return false
        }
        chunk.followsGap = state.hasGap
        state.queue.append(chunk)
        state.hasGap = false
        state.octets &+= chunk.bytes.count
        return true
      }
      if isTaken { break }
      progress.wait(milliseconds: 100)
      waits = !Drain.isOver
    }
    work.signal()
  }

  private func mayWait(_ state: borrowing State) -> Bool {
    guard case .wait(let seconds) = policy else { return false }
    guard state.stuckSince != 0 else { return true }
    return Double(Clock.monotonic() &- state.stuckSince) < seconds * 1e9
  }

  /// Queues a chunk of no octets, which finds room always.
  func request(_ chunk: FileChunk) {
    state.withLock { $0.queue.append(chunk) }
    work.signal()
  }

  /// Waits until what was pushed is written, as long as nothing is in the way and `Drain` allows it.
  func settle() {
    while !Drain.isOver {
      let isSettled = state.withLock { state in
        state.octets == 0 || state.isDone || state.isAbandoned || state.stuckSince != 0
          || !state.status.isEmpty
      }
      if isSettled { return }
      progress.wait(milliseconds: 50)
    }
  }

  /// Waits until all is written, but not beyond `Drain`; what is left then is counted as lost.
  func close() {
    state.withLock { $0.isClosing = true }
    work.signal()
    while true {
      let isDone = state.withLock { state in
        if state.isDone { return true }
        // The thread itself sees that time is over, unless a write holds it.
        guard Drain.deadline != UInt64.max, Clock.monotonic() >= Drain.deadline &+ 200_000_000 else {
          return false
        }
        state.isAbandoned = true
        while let chunk = state.queue.removeFirst() { state.counters.lose(chunk.records, .diskError) }
        state.counters.lose(state.current, .diskError)
        state.counters.takeBack(state.unpublished, .diskError)
        if state.status.isEmpty { state.status = "\(path) does not take any more" }
        return true
      }
      if isDone { return }
      progress.wait(milliseconds: 50)
    }
  }

  // The thread's side.

  /// The oldest chunk, taken out; nil when there is none, and whether none will come.
  func next() -> (chunk: FileChunk?, isEnd: Bool) {
    state.withLock { state in
      guard let chunk = state.queue.removeFirst() else {
        return (nil, state.isClosing || state.isAbandoned)
      }
      state.current = chunk.records
      return (chunk, false)
    }
  }

  /// Waits for a chunk or the end, no longer than until `end`, in nanoseconds since 1970.
  func waitForWork(until end: UInt64?) {
    if let end { work.wait(until: end) } else { work.wait() }
  }

  /// A chunk from `next` is written or counted: there is room for others.
  func finish(_ chunk: FileChunk) {
    state.withLock { state in
      state.octets = state.octets &- chunk.bytes.count
      state.current = 0
    }
    progress.signal()
  }

  /// The thread ends.
  func end() {
    state.withLock { $0.isDone = true }
    progress.signal()
  }

  /// Counts what was written.
  ///
  /// - Parameter isPublished: whether it counts already, or only when its file is complete.
  func count(records: Int, messages: Int, isPublished: Bool) {
    state.withLock { state in
      guard !state.isAbandoned else { return }
      state.counters.sentRecords &+= UInt64(clamping: records)
      state.counters.messages &+= UInt64(clamping: messages)
      state.current = state.current &- records
      if !isPublished { state.unpublished &+= UInt64(clamping: records) }
    }
  }

  /// Counts octets that were written.
  func count(octets: Int) {
    state.withLock { if !$0.isAbandoned { $0.counters.bytes &+= UInt64(clamping: octets) } }
  }

  /// The file is complete, or its records are lost for a reason.
  func publish(lost: ExportError?) {
    state.withLock { state in
      if let lost {
        state.forfeit = lost.description
        state.counters.errors &+= 1
        if !state.isAbandoned { state.counters.takeBack(state.unpublished, .diskError) }
      }
      state.unpublished = 0
    }
  }

  /// Counts records of the current chunk as lost, or, where `isNobodys`, as nobody's loss.
  func lose(_ records: Int, isNobodys: Bool) {
    state.withLock { state in
      guard !state.isAbandoned else { return }
      state.hasGap = true
      state.current = 0
      if !isNobodys { state.counters.lose(records, .diskError) }
    }
  }

  /// Counts a failed call that is no reason to wait.
  func countError() { state.withLock { $0.counters.errors &+= 1 } }

  /// Notes what is wrong; whether something was wrong before.
  func noteTrouble(_ error: ExportError) -> Bool {
    state.withLock { state in
      if state.status.isEmpty { state.counters.errors &+= 1 }
      state.status = error.description
      let now = Clock.monotonic()
      if state.stuckSince == 0 { state.stuckSince = now }
      return now &- state.stuckSince > 0
    }
  }

  /// Says what is waited for, where nothing worse is known.
  func noteWait(_ text: String) { state.withLock { if $0.status.isEmpty { $0.status = text } } }

  /// Something was written in spite of the trouble: time counts anew.
  func noteProgress() { state.withLock { if $0.stuckSince != 0 { $0.stuckSince = Clock.monotonic() } } }

  /// All is well again; whether it was not.
  func clearTrouble() -> Bool {
    state.withLock { state in
      guard state.stuckSince != 0 || !state.status.isEmpty else { return false }
      state.stuckSince = 0
      state.status = ""
      return true
    }
  }

  /// The output has ended for good.
  func fail(_ error: ExportError) {
    state.withLock { state in
      state.failure = state.failure ?? error
      state.status = error.description
    }
  }

  /// Whether what is left is to be given up: the run's end was waited for long enough, or after its end a trouble lasts.
  var isOver: Bool {
    if Drain.isOver { return true }
    return state.withLock { state in
      if state.isAbandoned || state.failure != nil { return true }
      guard state.isClosing, state.stuckSince != 0 else { return false }
      return Clock.monotonic() &- state.stuckSince >= Drain.timeout
    }
  }
}

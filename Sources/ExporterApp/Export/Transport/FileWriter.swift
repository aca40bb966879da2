// Bytes into a file, a FIFO, a terminal: by a thread of its own, because each of these can block for ever, and the lcore
// that exports has other outputs, too.
import Glibc
import Synchronization
import Wire

/// A bounded queue of lines or messages in front of a file, and the thread that writes them.
///
/// What is in the file is whole: where a write took a part and the rest finds no room, the part is cut off again up to
/// the last whole line or message, and the rest is tried until there is room, or until the end.
///
/// Safe between threads: `state` has its lock, `file` and `complaint` are the thread's alone once it runs, semaphores are for
/// several threads, and the rest does not change.
final class FileWriter: @unchecked Sendable {
  private struct State: ~Copyable {
    var queue = FileQueue()
    var octets = 0
    var counters = OutputCounters()
    var failure: ExportError?
    var status = ""
    /// Records of the chunk that is being written and not yet counted.
    var current = 0
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
  private let path: String
  /// Used by the thread alone.
  private var file: OutputFile
  private var complaint: Complaint
  private let work: UnsafeMutablePointer<sem_t>
  private let progress: UnsafeMutablePointer<sem_t>

  /// Opens the file (see `OutputFile`) and starts the thread.
  ///
  /// - Parameters:
  ///   - policy: what happens when `capacity` octets wait.
  ///   - others: files that must not be this one.
  init(
    path: String?, policy: OverloadPolicy, capacity: Int = 16 << 20, others: [FileIdentity] = []
  ) throws(ExportError) {
    file = try OutputFile(path: path, others: others)
    self.path = file.path
    self.policy = policy
    self.capacity = capacity
    complaint = Complaint(name: file.path)
    work = .allocate(capacity: 1)
    progress = .allocate(capacity: 1)
    sem_init(work, 0, 0)
    sem_init(progress, 0, 0)
    let code = Self.start { [self] in
      CrashReport.thread("the writer of \(self.path)")
      run()
    }
    guard code == 0 else { throw .cannotOpen(path: file.path, code: code) }
  }

  deinit {
    sem_destroy(work)
    sem_destroy(progress)
    work.deallocate()
    progress.deallocate()
  }

  /// Starts a thread that gets no signals; 0 or an errno.
  private static func start(_ body: @escaping @Sendable () -> Void) -> Int32 {
    final class Context: Sendable {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    // Safe: retained once here; given back once, by the thread, or at the end where none has started.
    let context = Unmanaged.passRetained(Context(body))
    var thread = pthread_t()
    let code = Signals.blockingAll {
      pthread_create(
        &thread, nil,
        { context in
          // Safe: what `pthread_create` gets below, of this class; the thread takes it once.
          if let context { Unmanaged<Context>.fromOpaque(context).takeRetainedValue().body() }
          return nil
        }, context.toOpaque())
    }
    if code == 0 { pthread_detach(thread) } else { context.release() }
    return code
  }

  // The owner's side.

  /// What was written and lost so far.
  var counters: OutputCounters { state.withLock { $0.counters } }
  /// What ended the output for good.
  var failure: ExportError? { state.withLock { $0.failure } }
  /// What is wrong now, else empty.
  var status: String { state.withLock { $0.status } }

  /// Takes whole lines or messages. Offline it waits for room; live, and where writing fails for too long, they are counted
  /// as lost.
  func push(
    _ bytes: SharedBytes, header: SharedBytes, records: Int,
    units: consuming GrowableList<FileChunk.Unit> = GrowableList(capacity: 1)
  ) {
    let chunk = FileChunk(bytes, header: header, records: records, units: units)
    var waits = true
    while true {
      let isTaken = state.withLock { state in
        if state.isDone || state.isAbandoned {
          state.counters.lose(records)
          return true
        }
        guard state.octets &+ bytes.count <= capacity || state.queue.first == nil else {
          guard waits, mayWait(state) else {
            state.counters.lose(records)
            state.hasGap = true
            return true
          }
          return false
        }
        chunk.followsGap = state.hasGap
        state.queue.append(chunk)
        state.hasGap = false
        state.octets &+= bytes.count
        return true
      }
      if isTaken { break }
      Self.wait(progress, milliseconds: 100)
      waits = !Drain.isOver
    }
    sem_post(work)
  }

  private func mayWait(_ state: borrowing State) -> Bool {
    guard case .wait(let seconds) = policy else { return false }
    guard state.stuckSince != 0 else { return true }
    return Double(Clock.monotonic() &- state.stuckSince) < seconds * 1e9
  }

  /// Has the file closed and opened by its name again, behind what was pushed before.
  func reopen() {
    let chunk = FileChunk(
      SharedBytes(), header: SharedBytes(), records: 0, units: GrowableList(capacity: 1), reopens: true)
    state.withLock { $0.queue.append(chunk) }
    sem_post(work)
  }

  /// Waits until what was pushed is written, as long as nothing is in the way and `Drain` allows it.
  func settle() {
    while !Drain.isOver {
      let isSettled = state.withLock { state in
        state.octets == 0 || state.isDone || state.isAbandoned || state.stuckSince != 0
          || !state.status.isEmpty
      }
      if isSettled { return }
      Self.wait(progress, milliseconds: 50)
    }
  }

  /// Waits until all is written, but not beyond `Drain`; what is left then is counted as lost.
  func close() {
    state.withLock { $0.isClosing = true }
    sem_post(work)
    while true {
      let isDone = state.withLock { state in
        if state.isDone { return true }
        // The thread itself sees that time is over, unless a write holds it.
        guard Drain.deadline != UInt64.max, Clock.monotonic() >= Drain.deadline &+ 200_000_000 else {
          return false
        }
        state.isAbandoned = true
        while let chunk = state.queue.removeFirst() { state.counters.lose(chunk.records) }
        state.counters.lose(state.current)
        if state.status.isEmpty { state.status = "\(path) does not take any more" }
        return true
      }
      if isDone { return }
      Self.wait(progress, milliseconds: 50)
    }
  }

  private static func wait(_ semaphore: UnsafeMutablePointer<sem_t>, milliseconds: Int) {
    let end = Clock.system() &+ UInt64(clamping: milliseconds) &* 1_000_000
    var time = timespec(
      tv_sec: Int(clamping: end / 1_000_000_000), tv_nsec: Int(clamping: end % 1_000_000_000))
    sem_timedwait(semaphore, &time)
  }

  // The thread's side.

  private func run() {
    while true {
      let (chunk, isEnd) = state.withLock { state -> (FileChunk?, Bool) in
        guard let chunk = state.queue.removeFirst() else {
          return (nil, state.isClosing || state.isAbandoned)
        }
        state.current = chunk.records
        return (chunk, false)
      }
      if let chunk {
        if chunk.reopens { reopenFile() } else { write(chunk) }
        state.withLock { state in
          state.octets = state.octets &- chunk.bytes.count
          state.current = 0
        }
        sem_post(progress)
      } else if isEnd {
        break
      } else {
        sem_wait(work)
      }
    }
    do throws(ExportError) { try file.close() } catch { fail(error) }
    state.withLock { $0.isDone = true }
    sem_post(progress)
  }

  private func reopenFile() {
    do throws(ExportError) {
      try file.reopen()
    } catch {
      // The old file stays open: better there than nowhere.
      complaint.say("\(error); the records go on into the file that was open before")
      state.withLock { $0.counters.errors &+= 1 }
    }
  }

  /// Writes a chunk, or counts what cannot be written.
  private func write(_ chunk: FileChunk) {
    // What stands in the file already, up to the end of a line or message.
    var kept = 0
    if failure != nil { return lose(chunk, from: 0) }
    while true {
      if file.descriptor < 0 {
        guard waitForReader() else { return lose(chunk, from: kept) }
      }
      let needsHeader = file.isFresh || chunk.followsGap && !chunk.units.isEmpty
      let header = needsHeader ? chunk.header(at: kept) : SharedBytes()
      let bytes =
        header.isEmpty && kept == 0
        ? chunk.bytes
        : chunk.bytes.withBytes { all in
          header.withBytes { SharedBytes(copying: $0, all.dropFirst(kept)) }
        }
      switch bytes.withBytes({ writeAll($0) }) {
      case .done:
        file.isFresh = file.isFresh && bytes.isEmpty
        if !bytes.isEmpty { clearTrouble() }
        return count(chunk, from: kept, to: chunk.bytes.count, octets: bytes.count)
      case .stopped(let written, let error):
        let reached = kept &+ max(0, written &- header.count)
        var whole = kept
        if written > header.count { whole = max(kept, chunk.boundary(within: reached)) }
        if file.kind == .regular {
          let excess = whole > kept ? reached &- whole : written
          // What cannot be cut off stays, and what follows it is not whole.
          if file.cut(excess) {
            if whole > kept { file.isFresh = false }
          }
        } else if written > 0 {
          file.isFresh = false
        }
        count(chunk, from: kept, to: whole, octets: whole > kept ? header.count &+ (whole &- kept) : 0)
        if whole > kept { state.withLock { if $0.stuckSince != 0 { $0.stuckSince = Clock.monotonic() } } }
        kept = whole
        guard recovers(from: error) else { return lose(chunk, from: kept) }
      }
    }
  }

  private enum Outcome {
    case done
    /// So many octets were written; nil: time is over.
    case stopped(Int, ExportError?)
  }

  private func writeAll(_ bytes: Bytes) -> Outcome {
    var offset = 0
    while offset < bytes.count {
      let rest = bytes.dropFirst(offset)
      let count = Glibc.write(file.descriptor, rest.base, rest.count)
      let code = errno
      if count > 0 {
        offset &+= count
        continue
      }
      if count == 0 || code == EAGAIN {
        guard !isOver else { return .stopped(offset, nil) }
        var waiting = pollfd(fd: file.descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&waiting, 1, 100)
      } else if code == EPIPE {
        return .stopped(offset, .readerGone(path: path))
      } else if code != EINTR {
        return .stopped(offset, .cannotWrite(path: path, code: code))
      }
    }
    return .done
  }

  /// Notes trouble and waits a moment; false when this chunk is given up.
  private func recovers(from error: ExportError?) -> Bool {
    guard let error else { return false }
    let isRepeated = state.withLock { state in
      if state.status.isEmpty { state.counters.errors &+= 1 }
      state.status = error.description
      let now = Clock.monotonic()
      if state.stuckSince == 0 { state.stuckSince = now }
      return now &- state.stuckSince > 0
    }
    if case .readerGone = error {
      if file.mayLoseReader {
        fail(error)
        return false
      }
      complaint.say("\(error); waiting for another reader")
      file.closeFIFO()
    } else if file.kind == .regular {
      complaint.say("\(error); trying again until there is room")
    } else {
      // A device, or standard output that was closed: no hope.
      complaint.say("\(error)")
      fail(error)
      return false
    }
    if isRepeated { usleep(200_000) }
    return !isOver
  }

  /// Waits until somebody reads the FIFO; false when time is over.
  private func waitForReader() -> Bool {
    let start = Clock.monotonic()
    while !file.openFIFO() {
      guard !isOver else { return false }
      if Clock.monotonic() &- start > 1_000_000_000 {
        complaint.say("nobody reads it; waiting for a reader")
        state.withLock { if $0.status.isEmpty { $0.status = "nobody reads \(path)" } }
      }
      usleep(20_000)
    }
    clearTrouble()
    return true
  }

  private func clearTrouble() {
    let wasStuck = state.withLock { state in
      guard state.stuckSince != 0 || !state.status.isEmpty else { return false }
      state.stuckSince = 0
      state.status = ""
      return true
    }
    if wasStuck { complaint.resolve("goes on") }
  }

  /// Whether what is left is to be given up: the run's end was waited for long enough, or after its end a trouble lasts.
  private var isOver: Bool {
    if Drain.isOver { return true }
    return state.withLock { state in
      if state.isAbandoned || state.failure != nil { return true }
      guard state.isClosing, state.stuckSince != 0 else { return false }
      return Clock.monotonic() &- state.stuckSince >= Drain.timeout
    }
  }

  private func fail(_ error: ExportError) {
    state.withLock { state in
      state.failure = state.failure ?? error
      state.status = error.description
    }
  }

  private func count(_ chunk: FileChunk, from start: Int, to end: Int, octets: Int) {
    let (records, messages) = chunk.contents(from: start, to: end)
    state.withLock { state in
      guard !state.isAbandoned else { return }
      state.counters.sentRecords &+= UInt64(clamping: records)
      state.counters.bytes &+= UInt64(clamping: octets)
      state.counters.messages &+= UInt64(clamping: messages)
      state.current = state.current &- records
    }
  }

  private func lose(_ chunk: FileChunk, from start: Int) {
    let records = chunk.contents(from: start, to: chunk.bytes.count).records
    state.withLock { state in
      guard !state.isAbandoned else { return }
      state.hasGap = true
      state.current = 0
      if state.failure == .readerGone(path: path), file.mayLoseReader { return }
      state.counters.lose(records)
    }
  }
}

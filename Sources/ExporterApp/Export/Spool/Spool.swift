// A collector's spool as the export lcore has it: it gives and asks, and never waits for the disk. What blocks is done by a
// thread of its own.
import Glibc
import Synchronization
import Wire

/// What the disk does not do, now.
enum SpoolTrouble: Equatable, Sendable {
  case none
  /// The spool has as many octets as it may.
  case full
  /// The disk takes nothing.
  case disk
}

/// What a spool's thread has done.
struct SpoolReport: Sendable {
  /// Behind the last message on the disk.
  var written = SpoolPosition()
  /// Records written since the start.
  var spooledRecords: UInt64 = 0
  /// Writes that failed.
  var errors: UInt64 = 0
  /// What is wrong.
  var trouble = SpoolTrouble.none
}

/// A bounded log of messages on the disk, and the thread that writes and reads it.
///
/// Safe between threads: `state` has its lock, `worker` is the thread's alone once it runs, and the rest does not change.
final class Spool: @unchecked Sendable {
  /// What both sides see, under the lock.
  fileprivate struct State: ~Copyable {
    /// Chunks to be written.
    var writes = SpoolQueue()
    /// How far delivery is, and what was taken.
    var progress = SpoolState()
    /// Messages below this number are not wanted any more.
    var keep: UInt64 = 0
    /// The number that reading is to begin at, when that is new.
    var seek: UInt64?
    /// Whether anybody wants to read.
    var isRead = false
    /// Chunks that were read.
    var results = SpoolQueue()
    var report = SpoolReport()
    var status = ""
    var isClosing = false
    var isDone = false
  }

  private let state = Mutex(State())
  private var worker: SpoolWorker
  private let work = Semaphore()
  private let progress = Semaphore()

  /// The collector's directory.
  let path: String
  /// This run, in the segments.
  let run: UInt64
  /// Where delivery goes on: what is behind it waits since earlier runs, up to `start`.
  let resume: SpoolPosition
  /// Before the first message of this run.
  let start: SpoolPosition
  /// Records that an earlier run had taken and that are neither with the collector, as far as it said, nor on the disk.
  let lostBefore: UInt64

  /// Takes the directory and starts the thread.
  ///
  /// - Parameters:
  ///   - settings: where, and how large.
  ///   - name: the collector's directory.
  /// - Throws: the directory cannot be made or written, or somebody has it.
  init(_ settings: SpoolSettings, name: String) throws(ExportError) {
    var random = SystemRandomNumberGenerator()
    run = random.next()
    let directory = try SpoolDirectory(settings.directory, name: name)
    let file = open(directory.statePath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o640)
    guard file >= 0 else { throw .cannotSpool(path: directory.path, code: errno) }
    FileOwner.give(file)
    let path = directory.path
    var worker = SpoolWorker(
      log: SpoolLog(directory, limit: settings.octets, run: run), stateFile: file, path: path)
    if worker.log.damagedSegments > 0 {
      logger.warning(
        "\(path): \(worker.log.damagedSegments) segments of earlier runs cannot be read, and are kept as *.damaged"
      )
    }
    let before = worker.readState()
    let resume = before?.resume ?? worker.log.first ?? SpoolPosition()
    let start = SpoolPosition.later(resume, worker.log.end)
    worker.log.begin(at: start)
    worker.log.remove(below: resume.message)
    var now = SpoolState()
    now.resume = resume
    now.taken = start
    let code = worker.writeState(now)
    guard code == 0 else { throw .cannotSpool(path: path, code: code) }
    self.path = path
    self.resume = resume
    self.start = start
    lostBefore = start.records(to: before?.taken ?? start)
    self.worker = worker
    state.withLock { state in
      state.progress = now
      state.keep = resume.message
      state.report.written = start
    }
    let started = DetachedThread.start { [self] in
      CrashReport.thread("the spool of \(self.path)")
      runThread()
    }
    guard started == 0 else { throw .cannotSpool(path: path, code: started) }
  }

  // The owner's side.

  /// What the thread has done.
  var report: SpoolReport { state.withLock { $0.report } }
  /// What is wrong with the disk, else empty.
  var status: String { state.withLock { $0.status } }

  /// Has a chunk written, behind those before; they are this run's, in their order.
  func write(_ chunk: SpoolChunk) {
    state.withLock { $0.writes.append(chunk) }
    work.signal()
  }

  /// Says how far delivery is and which messages are not wanted any more.
  func note(_ now: SpoolState, keep: UInt64) {
    let isNews = state.withLock { state in
      let isNews = state.progress.resume != now.resume || state.keep != keep
      state.progress = now
      state.keep = keep
      return isNews
    }
    // What was only taken can wait for the thread's next look.
    if isNews { work.signal() }
  }

  /// Has messages read from this number on.
  func read(from number: UInt64) {
    state.withLock { state in
      state.seek = number
      state.isRead = true
      state.results.removeAll()
    }
    work.signal()
  }

  /// The next messages that were read; nil when there are none yet.
  func take() -> SpoolChunk? {
    let chunk = state.withLock { $0.results.removeFirst() }
    if chunk != nil { work.signal() }
    return chunk
  }

  /// Nothing is read any more before the next `read`.
  func stopReading() {
    state.withLock { state in
      state.isRead = false
      state.results.removeAll()
    }
  }

  /// Has everything written that waits, and gives the directory back; waits at most until `deadline` (nanoseconds of the
  /// monotonic clock).
  func close(deadline: UInt64) {
    state.withLock { $0.isClosing = true }
    work.signal()
    while !state.withLock({ $0.isDone }), Clock.monotonic() < deadline { progress.wait(milliseconds: 20) }
  }

  // The thread's side.

  private func runThread() {
    while true {
      work.clear()
      let isClosing = state.withLock { $0.isClosing }
      var isBusy = writeOne(isClosing: isClosing)
      let (now, keep) = state.withLock { ($0.progress, $0.keep) }
      worker.save(now)
      worker.log.remove(below: keep)
      if !isClosing, readOne() { isBusy = true }
      if isBusy { continue }
      if isClosing { break }
      work.wait(milliseconds: 50)
    }
    // What is neither with the collector nor on the disk is counted by this run.
    var last = state.withLock { $0.progress }
    last.taken = SpoolPosition.later(last.resume, worker.log.end)
    worker.save(last)
    worker.log.release()
    state.withLock { $0.isDone = true }
    progress.signal()
  }

  /// Writes the oldest chunk that waits; false when there is none, or it does not fit now.
  private func writeOne(isClosing: Bool) -> Bool {
    let (first, keep) = state.withLock { ($0.writes.first, $0.keep) }
    guard let chunk = first, isClosing || worker.mayTry else { return false }
    let before = worker.log.end
    // What the collector has meanwhile needs no disk.
    let outcome = chunk.end.message <= keep ? .done : worker.write(chunk)
    let end = worker.log.end
    let isDone = outcome == .done
    let status = worker.note(outcome)
    state.withLock { state in
      if isDone {
        _ = state.writes.removeFirst()
        state.report.written = SpoolPosition.later(state.report.written, SpoolPosition.later(chunk.end, end))
      } else {
        state.report.written = SpoolPosition.later(state.report.written, end)
      }
      if end.message > chunk.first.message {
        state.report.spooledRecords &+= SpoolPosition.later(before, chunk.first).records(to: end)
      }
      state.status = status
      switch outcome {
      case .done: state.report.trouble = .none
      case .full: state.report.trouble = .full
      case .failed:
        state.report.trouble = .disk
        state.report.errors &+= 1
      }
    }
    progress.signal()
    return isDone
  }

  /// Reads on, where somebody wants to; false when there is nothing, or enough waits.
  private func readOne() -> Bool {
    let (seek, isWanted) = state.withLock { state in
      let seek = state.seek
      state.seek = nil
      return (seek, state.isRead && state.results.count < 4)
    }
    if let seek { worker.seek(seek) }
    guard isWanted, let chunk = worker.next() else { return false }
    state.withLock { state in
      // Somebody wants something else now.
      guard state.seek == nil, state.isRead else { return }
      state.results.append(chunk)
    }
    return true
  }
}

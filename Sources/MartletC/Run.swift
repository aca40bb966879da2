// One run over captures: who reads what, how far it is, and what went wrong.
import Arrow
import CArrow
import CPipes
import Captures
import FlowCore
import Glibc
import Synchronization

/// A run. Its threads begin with the first batch that is asked for, and end with the captures or with `stop`.
final class Run: Sendable {
  let captures: CaptureList
  let options: RunOptions
  let schema: BuiltInSchema
  let fields: [ArrowField]
  /// Octets of all captures whose length is known.
  let octetsInAll: UInt64
  /// Somebody wants it to end.
  let stopped = Atomic<Bool>(false)
  /// Something was not read, because somebody wanted it to end.
  private let cut = Atomic<Bool>(false)
  /// Readable when the run is to end, for who waits for a pipe; nil where there is none.
  let stopDescriptor: CInt?
  /// Somebody has taken the stream.
  let isTaken = Atomic<Bool>(false)
  let octetsRead = Atomic<UInt64>(0)
  let packets = Atomic<UInt64>(0)
  let flows = Atomic<UInt64>(0)
  let capturesDone = Atomic<UInt64>(0)
  private let nextCapture = Atomic<Int>(0)
  private let state = Guarded(State())
  private let queue: BatchQueue
  private let threads: Int

  /// What threads add to now and then.
  private struct State: Sendable {
    var problems: [Problem] = []
    var counters = RunCounters()
    var threads: [pthread_t] = []
    var hasBegun = false
  }

  /// Checks the options and whether there is anything to read.
  ///
  /// - Throws: an option that means nothing, or captures of which none can be read.
  init(_ captures: CaptureList, _ options: RunOptions) throws(Failure) {
    guard !captures.names.isEmpty else { throw .usage("there are no captures: give at least one") }
    if options.isJoined, captures.names.count > Int(UInt16.max) + 1 {
      throw .usage("joined: at most \(Int(UInt16.max) + 1) captures can be one time line")
    }
    self.captures = captures
    self.options = options
    schema = try BuiltInSchema(options.metering)
    do { try schema.loadModels(owners: [0, geteuid()]) } catch { throw .usage(error.description) }
    fields = ArrowField.fields(schema.tableColumns(), names: options.names, addresses: options.addresses)
    // All captures are one interface to who reads the records.
    if options.isJoined {
      for place in captures.names.indices {
        schema.setInterface(schema.interface(ofPort: 0), ofPort: UInt16(truncatingIfNeeded: place))
      }
    }
    octetsInAll = captures.lengths.reduce(0, &+)
    let descriptor = captures.hasPipes ? martlet_stop_open() : -1
    stopDescriptor = descriptor >= 0 ? descriptor : nil
    let threads = options.isJoined ? 1 : min(options.threads, captures.names.count)
    queue = BatchQueue(room: threads + 1, producers: threads)
    self.threads = threads
    guard (makeAnonymiser() == nil) == (schema.masking == nil) else {
      throw .general("libcrypto has no AES-128, which anonymise needs: look at openssl.cnf")
    }
    try captures.check(filter: options.metering.filter)
  }

  deinit { if let stopDescriptor { close(stopDescriptor) } }

  /// What replaces addresses, for one thread; nil where they stay.
  func makeAnonymiser() -> Anonymiser? {
    schema.masking.flatMap {
      Anonymiser($0, zeroesMAC: options.metering.anonymisation?.zeroesMAC ?? true)
    }
  }

  /// The next batch, which the caller owns; nil at the end.
  ///
  /// - Throws: no thread can be started.
  func next() throws(Failure) -> ArrowArray? {
    try begin()
    switch queue.next() {
    case .batch(let batch): return batch
    case .end: return nil
    }
  }

  /// Starts the threads, once.
  private func begin() throws(Failure) {
    let code: Int32 = state.withLock { state in
      guard !state.hasBegun else { return 0 }
      state.hasBegun = true
      for number in 0..<threads {
        var thread = pthread_t()
        let code = BackgroundThread.start(&thread) { [self] in work(number) }
        guard code == 0 else {
          for _ in number..<threads { queue.leave() }
          stopped.store(true, ordering: .relaxed)
          noteCut()
          return code
        }
        state.threads.append(thread)
      }
      return 0
    }
    guard code == 0 else { throw .general("no thread can be started: \(errorText(code))") }
  }

  /// One thread's work: captures, as long as there are any.
  private func work(_ number: Int) {
    var worker = CaptureWorker(self, number: number)
    if options.isJoined {
      worker.readAll()
    } else {
      while !isStopped {
        let place = nextCapture.wrappingAdd(1, ordering: .relaxed).oldValue
        guard place < captures.names.count else { break }
        worker.readAlone(place)
      }
      if isStopped, nextCapture.load(ordering: .relaxed) < captures.names.count { noteCut() }
    }
    worker.finish()
    queue.leave()
  }

  var isStopped: Bool { stopped.load(ordering: .relaxed) }

  /// Whether the stop came before the end.
  var isCut: Bool { cut.load(ordering: .relaxed) }

  /// Something is not read, because the run is stopped.
  func noteCut() { cut.store(true, ordering: .relaxed) }

  /// Hands a batch to the consumer, when he has room for it.
  func push(_ batch: ArrowArray) { queue.push(batch) }

  /// Ends the work; any thread.
  func stop() {
    stopped.store(true, ordering: .relaxed)
    if let stopDescriptor { martlet_stop_tell(stopDescriptor) }
    queue.stop()
  }

  /// Ends the work and waits until the threads are gone; by one thread alone.
  func end() {
    stop()
    let threads = state.withLock { state in
      state.hasBegun = true
      defer { state.threads = [] }
      return state.threads
    }
    for thread in threads { pthread_join(thread, nil) }
  }

  // MARK: What became of it

  func add(_ problem: Problem) { state.withLock { $0.problems.append(problem) } }

  func add(_ counters: RunCounters) { state.withLock { $0.counters.add(counters) } }

  /// What was wrong with captures, in the order in which it was found.
  var problems: [Problem] { state.withLock { $0.problems } }

  /// The counters of all captures that are done.
  var counters: RunCounters { state.withLock { $0.counters } }
}

/// What was wrong with a capture.
struct Problem: Sendable {
  /// A number of martlet_status.
  var status: UInt32
  var capture: String
  var message: String
  /// Packets before it.
  var packets: UInt64
}

// One thread of a run: an engine for each capture, or one for all of them, and a writer of batches that goes on from one to the next.
import Arrow
import CArrow
import CMartlet
import Captures
import FlowCore

/// Reads captures into batches, on one thread.
struct CaptureWorker: ~Copyable {
  private let run: Run
  private let number: Int
  private var burst = CaptureBurst()
  private var writer: ArrowRecordWriter
  private var counters = RunCounters()
  private let faults = ParserFaults()
  /// Replaces the addresses in records; nil where they stay.
  private let anonymiser: Anonymiser?
  /// What the run's progress knows of this thread's packets and octets.
  private var told = (packets: UInt64(0), octets: UInt64(0))
  private var bursts = 0

  /// Bursts from one look at how far it is to the next.
  private static var stride: Int { 256 }

  init(_ run: Run, number: Int) {
    self.run = run
    self.number = number
    writer = ArrowRecordWriter(run.fields, sources: run.captures.names, rowLimit: run.options.batchRows)
    anonymiser = run.makeAnonymiser()
  }

  /// Reads one capture by itself: an engine of its own, whose flows end with it.
  mutating func readAlone(_ place: Int) {
    writer.source = place
    guard let engine = makeEngine(place) else { return }
    read(place, into: engine)
    flush(engine)
  }

  /// Reads all captures in order as one time line.
  mutating func readAll() {
    guard let engine = makeEngine(0) else { return }
    for place in run.captures.names.indices {
      if run.isStopped { run.noteCut() }
      guard !run.isStopped else { break }
      engine.port = UInt16(truncatingIfNeeded: place)
      read(place, into: engine)
    }
    flush(engine)
  }

  /// Hands over the last batch.
  mutating func finish() {
    if writer.rows > 0 { finishBatch() }
    counters.misplaced = writer.misplaced
    counters.exportFaults = faults.total
    faults.endHere()
    run.add(counters)
  }

  private func makeEngine(_ place: Int) -> FlowWorker? {
    let settings = run.options.metering
    do {
      let engine = try FlowWorker(
        settings, schema: run.schema, number: number, recordsUnderWay: nil, memory: PlainMemory())
      try engine.makeSlab(settings, schema: run.schema, live: false, memory: PlainMemory())
      return engine
    } catch {
      run.add(
        Problem(
          status: MARTLET_INTERNAL.rawValue, capture: run.captures.names[place],
          message: error.description, packets: 0))
      run.stop()
      return nil
    }
  }

  private mutating func read(_ place: Int, into engine: FlowWorker) {
    let before = counters.received
    told.octets = 0
    var status = MARTLET_CANNOT_READ
    do {
      try run.captures.open(place, stop: run.stopDescriptor) { (capture) throws(Failure) in
        var program: FilterProgram?
        if let filter = run.options.metering.filter { program = try capture.compile(filter) }
        engine.linkType = capture.linkType
        status = MARTLET_DAMAGED
        try feed(capture, through: program, into: engine, before: before)
      }
    } catch {
      // A pipe that was waited for.
      if run.isStopped { return run.noteCut() }
      if error.status == Failure.usageStatus { status = MARTLET_INVALID_ARGUMENT }
      run.add(
        Problem(
          status: status.rawValue, capture: run.captures.names[place], message: error.description,
          packets: counters.received &- before))
    }
    run.capturesDone.wrappingAdd(1, ordering: .relaxed)
  }

  /// Has the engine work through a capture.
  ///
  /// - Throws: its damage, after everything before it was processed.
  private mutating func feed(
    _ capture: borrowing Capture, through program: FilterProgram?, into engine: FlowWorker, before: UInt64
  ) throws(Failure) {
    while !run.isStopped {
      var leftOut = CaptureBurst.LeftOut()
      let filling = burst.fill(from: capture, through: program, leftOut: &leftOut)
      counters.received &+= leftOut.packets &+ UInt64(burst.count)
      counters.leftOut.packets &+= leftOut.packets
      counters.leftOut.octets &+= leftOut.octets
      counters.octets &+= leftOut.octets &+ burst.wireBytes
      if burst.count > 0 {
        engine.process(burst.frames, count: burst.count, times: burst.times)
        handOver(engine)
        burst.removeAll()
      }
      bursts &+= 1
      switch filling {
      case .more: if bursts % Self.stride == 0 { tell(capture) }
      case .end:
        tell(capture)
        return
      case .damaged(let reason):
        tell(capture)
        throw .general(capture.damage(reason, after: counters.received &- before))
      }
    }
    run.noteCut()
  }

  /// Notes how far it is.
  private mutating func tell(_ capture: borrowing Capture) {
    run.packets.wrappingAdd(counters.received &- told.packets, ordering: .relaxed)
    told.packets = counters.received
    let octets = capture.position
    if octets > told.octets {
      run.octetsRead.wrappingAdd(octets &- told.octets, ordering: .relaxed)
      told.octets = octets
    }
  }

  /// Ends the flows that are left.
  private mutating func flush(_ engine: FlowWorker) {
    var more = true
    while more {
      more = engine.flushInOrder()
      handOver(engine)
    }
    counters.add(engine.counters)
  }

  /// Finished records become rows and go back.
  private mutating func handOver(_ engine: FlowWorker) {
    let finished = engine.finished
    guard finished > 0 else { return }
    faults.countHere()
    if let anonymiser { run.schema.anonymise(engine.outbox, count: finished, by: anonymiser) }
    var index = 0
    while index < finished {
      if let record = engine.outbox[index] {
        if run.options.isJoined { writer.source = run.schema.port(of: record) }
        append(record, isReverse: false)
        if run.schema.hasReverseRecord(record) { append(record, isReverse: true) }
      }
      index &+= 1
    }
    engine.recycle(engine.outbox, count: finished)
    run.flows.wrappingAdd(UInt64(finished), ordering: .relaxed)
  }

  private mutating func append(_ record: UnsafeMutableRawPointer, isReverse: Bool) {
    writer.begin()
    run.schema.render(record, isReverse: isReverse, into: &writer)
    writer.end()
    counters.records &+= 1
    if writer.isFull { finishBatch() }
  }

  private mutating func finishBatch() {
    var batch = ArrowArray()
    guard writer.finish(in: &batch) == 0 else {
      run.add(
        Problem(
          status: MARTLET_INTERNAL.rawValue, capture: "", message: "there is no memory for a batch",
          packets: 0))
      return run.stop()
    }
    counters.batches &+= 1
    run.push(batch)
  }
}

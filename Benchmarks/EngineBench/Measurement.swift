// Runs one engine over the ring and takes the time, without that of making the packets.
import CEngine
import CIntrinsics
import FlowCore
import Glibc

/// The time stamp counter's rate.
enum CycleClock {
  static let perNanosecond: Double = {
    func now() -> Double {
      var time = timespec()
      clock_gettime(CLOCK_MONOTONIC, &time)
      return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
    let (start, cycles) = (now(), martlet_cycles())
    while now() - start < 100_000_000 {}
    let end = martlet_cycles()
    return Double(end - cycles) / (now() - start)
  }()
}

/// An engine under test.
protocol BenchEngine: AnyObject {
  /// Works through one burst received at `now` and takes its finished records back.
  func burst(_ frames: UnsafePointer<Frame>, now: UInt64)
  var flowsMade: UInt64 { get }
  /// Records ended for lack of room, and by timeouts.
  var evicted: UInt64 { get }
  var discarded: UInt64 { get }
}

/// The product's engine.
final class SwiftEngine: BenchEngine {
  private let worker: FlowWorker

  init(plugins: [String], configuration: FlowConfiguration) throws {
    worker = try FlowWorker(
      configuration: configuration, schema: BuiltInSchema(plugins: plugins.map { PluginSelection($0) }),
      number: 0)
  }

  @inline(__always)
  func burst(_ frames: UnsafePointer<Frame>, now: UInt64) {
    worker.process(frames, count: FlowWorker.burstSize, now: now)
    if worker.finished > 0 { worker.recycle(worker.outbox, count: worker.finished) }
  }

  /// The cycles in each pass so far, which are taken only where this was set.
  var timesPasses: Bool {
    get { worker.timesPasses }
    set { worker.timesPasses = newValue }
  }
  var cycles: InlineArray<5, UInt64> { worker.counters.cycles }

  var flowsMade: UInt64 { worker.counters.flowsMade }
  var evicted: UInt64 { worker.counters.ended[Int(FlowEndReason.lackOfResources.rawValue)] }
  var discarded: UInt64 { worker.counters.discardedTotal + worker.counters.tableFull }
}

/// The plain C version.
final class PlainCEngine: BenchEngine {
  private let engine: OpaquePointer

  init?(configuration: FlowConfiguration) {
    guard
      let engine = c_engine_make(
        UInt64(configuration.flows), configuration.inactiveTimeout, configuration.activeTimeout,
        configuration.seed)
    else { return nil }
    self.engine = engine
  }

  deinit { c_engine_free(engine) }

  @inline(__always)
  func burst(_ frames: UnsafePointer<Frame>, now: UInt64) {
    let frames = UnsafeRawPointer(frames).assumingMemoryBound(to: c_frame.self)
    if c_engine_process(engine, frames, 32, now) > 0 { c_engine_recycle(engine) }
  }

  var flowsMade: UInt64 { c_engine_flows_made(engine) }
  var evicted: UInt64 { c_engine_ended(engine, 5) }
  var discarded: UInt64 { c_engine_discarded(engine) }
}

/// One engine with traffic of its own: two runners of the same kind see the same packets.
final class Runner<Engine: BenchEngine> {
  let engine: Engine
  private let traffic: Traffic
  /// Nanoseconds for each packet where the clock does not follow the cycles.
  private let pace: UInt64?
  private var now: UInt64 = 1_700_000_000_000_000_000

  /// Makes the traffic and brings its flows into the table.
  init(_ engine: Engine, _ kind: TrafficKind, pace: UInt64?) {
    self.engine = engine
    self.pace = pace
    traffic = Traffic(kind)
    var start = 0
    while kind.flows - start >= 32 {
      let count = traffic.fillInOrder(from: start)
      _ = work(count)
      start += count
    }
  }

  /// Works through about `packets` packets and returns the cycles for each: the median over fillings of the ring, about
  /// a millisecond each, so that what else runs on the machine counts little.
  func run(packets: Int) -> Double {
    let rings = max(1, packets / Traffic.slots)
    var cycles: [UInt64] = []
    for _ in 0..<rings {
      traffic.fill()
      cycles.append(work(Traffic.slots))
    }
    return Double(cycles.sorted()[rings / 2]) / Double(Traffic.slots)
  }

  /// The cycles per packet in each pass, of one more round.
  func passes(packets: Int) -> [String: Double] where Engine == SwiftEngine {
    engine.timesPasses = true
    defer { engine.timesPasses = false }
    let before = engine.cycles
    _ = run(packets: packets)
    let after = engine.cycles
    let count = Double(max(1, packets / Traffic.slots) * Traffic.slots)
    return Dictionary(
      uniqueKeysWithValues: Pass.allCases.map {
        ($0.name, Double(after[$0.rawValue] - before[$0.rawValue]) / count)
      })
  }

  /// The first `count` packets of the ring.
  private func work(_ count: Int) -> UInt64 {
    let frames = traffic.frames
    let perNanosecond = CycleClock.perNanosecond
    let scale = UInt64(1_048_576 / perNanosecond)
    let (start, startTime) = (martlet_cycles(), now)
    for burst in 0..<count / 32 {
      // The receive loop asks for the headers of a burst before it works on the one before.
      let following = burst &+ 1 < count / 32 ? burst &+ 1 : 0
      for index in 0..<32 { martlet_prefetch(frames[following &* 32 &+ index].bytes) }
      now = pace.map { now &+ $0 &* 32 } ?? startTime &+ ((martlet_cycles() &- start) &* scale) >> 20
      engine.burst(frames + burst &* 32, now: now)
    }
    return martlet_cycles() - start
  }
}

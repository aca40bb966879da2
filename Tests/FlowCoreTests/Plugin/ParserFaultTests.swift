// A plugin's mistakes cost it a field and are counted as its own; other plugins, the flow and the program go on.
import CIntrinsics
import Foundation
import IPFIX
import TestSupport
import Testing
import Wire

@testable import FlowCore

/// A plugin that looks and writes outside of everything it is given.
struct CarelessPlugin: FlowPlugin {
  static let name = "careless"
  static let summary = "makes each mistake once a packet"

  struct State: FlowState {
    var sum: UInt32 = 0
    var packets: UInt32 = 0
    var bins: InlineArray<2, UInt16> = .init(repeating: 0)
  }

  init(options: borrowing PluginOptions) {}

  var trailingBytes: Int { 4 }

  /// How many mistakes `look` makes.
  static let mistakes: UInt64 = 10

  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    look(&state, packet, flow)
  }

  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    look(&state, packet, flow)
  }

  private func look(_ state: inout State, _ packet: PacketView, _ flow: FlowContext<Self>) -> Verdict {
    state.packets &+= 1
    let payload = packet.payload
    state.sum &+= UInt32(payload[payload.count])
    state.sum &+= UInt32(payload[-1])
    state.sum &+= payload.load(UInt32.self, at: payload.count &- 3)
    state.sum &+= UInt32(truncatingIfNeeded: payload.slice(2, .max).count)
    state.sum &+= UInt32(state.bins[total: 2])
    state.bins[total: -1] = 9
    flow.trailing.store(UInt64.max, at: 0)
    state.sum &+= UInt32(truncatingIfNeeded: flow.trailing.load(UInt64.self, at: .min))
    flow.trailing.copy(payload, to: 5)
    // A block that was never taken.
    var block = BlockReference()
    block.unit = .max
    state.sum &+= UInt32(truncatingIfNeeded: flow.contents(block).count)
    return .more
  }

  static let result = InformationElement(.martlet, 901, "carelessSum", .unsigned32)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned32(Self.result, state.sum)
  }
}

private enum CarelessRegistry: PluginRegistry {
  case histograms, careless, vlan

  func visit<Visitor: PluginVisitor & ~Copyable>(_ visitor: inout Visitor) {
    switch self {
    case .histograms: visitor.visit(PayloadHistograms.self)
    case .careless: visitor.visit(CarelessPlugin.self)
    case .vlan: visitor.visit(VLANIdentifier.self)
    }
  }
}

/// A writer that makes mistakes at some fields.
private struct CarelessWriter: NumberWriter {
  mutating func number(_ element: InformationElement, _ value: UInt64) {
    let mistakes =
      switch "\(element.name)" {
      case "vlanId": 1
      case "flowId": 3
      case "protocolIdentifier": 5
      default: 0
      }
    for _ in 0..<mistakes { noteFault() }
  }
  mutating func float32(_ element: InformationElement, _ value: Float) {}
  mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) {}
  mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) {}
  mutating func macAddress(_ element: InformationElement, _ address: UInt64) {}
  mutating func time(_ element: InformationElement, nanoseconds: UInt64) {}
  mutating func octets(_ element: InformationElement, _ bytes: RawSpan) {}
  mutating func string(_ element: InformationElement, _ bytes: RawSpan) {}
  mutating func numbers(
    _ element: InformationElement, count: Int, isSigned: Bool, _ entry: (_ index: Int) -> UInt64
  ) {}
  mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {}
}

@Suite struct ParserFaultTests {
  @Test func aCarelessPluginCostsAFieldAndIsCounted() throws {
    let layout = try StateLayout<CarelessRegistry>(
      ["phists", "careless", "vlan"].map { PluginSelection($0) })
    var configuration = FlowConfiguration()
    configuration.flows = 8
    var engine = try Engine(configuration, layout: layout, worker: 0, memory: PlainMemory())
    martlet_trace_faults(engine.faults)
    defer { martletTraceNothing() }
    let packets = [
      TestPacket(payload: [1, 2]), TestPacket(isForward: false, payload: [3]), TestPacket(payload: []),
    ]
    for packet in packets {
      let frame = packet.frame
      var time = frame.time
      // Not one byte more than the frame has: ASan sees what reads on.
      frame.bytes.withUnsafeBytes {
        var view = Frame(bytes: $0.baseAddress!, captured: UInt32($0.count), wire: UInt32(frame.wire))
        engine.process(&view, count: 1, times: &time, step: 1)
      }
    }
    // Index 0 is the engine's, then those of the slots.
    let faults = (0..<4).map { engine.faults[$0] }
    #expect(faults == [0, 0, 3 * CarelessPlugin.mistakes, 0])

    _ = engine.flush()
    #expect(engine.finished == 1)
    let record = try #require(engine.outbox[0])
    let head = UnsafePointer(record.assumingMemoryBound(to: FlowRecord.self))
    #expect(head.pointee.presence == 0b111)
    #expect(head.pointee.forwardPackets == 2 && head.pointee.reversePackets == 1)
    // All that was read outside is 0, and nothing was written into the neighbours.
    let careless = (record + Int(layout.slots[1].stateOffset)).load(as: CarelessPlugin.State.self)
    #expect(careless.sum == 0 && careless.packets == 3)
    let sizes = (record + Int(layout.slots[0].stateOffset)).load(as: PayloadHistograms.State.self)
    #expect(sizes.forward.sizes.bins[0] == 1 && sizes.reverse.sizes.bins[0] == 1)
  }

  /// The project's own captures, and the corpus where it is there.
  static let captures: [String] = {
    let folder = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../Captures").standardized
    let names = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
    return names.filter { $0.contains(".pcap") }.sorted().map { "\(folder.path)/\($0)" }
      + Corpus.captures(in: "functional") + Corpus.captures(in: "ndpi")
  }()

  /// A fault is a parser's mistake, never what traffic does: not as it was captured, not cut short, not changed. `tls`,
  /// which keeps what it read, has tests of its own for that.
  @Test(arguments: captures)
  func trafficMakesNoFaults(path: String) throws {
    guard var capture = Capture(path: path) else { return }
    // Long ones say the same again.
    capture.frames = Array(capture.frames.prefix(3000))
    let plugins = PluginCatalogue.all.map(\.name).filter { $0 != "tls" }
    var random = SeededGenerator(seed: 8)
    for isChanged in [false, true] {
      if isChanged {
        for index in capture.frames.indices where !capture.frames[index].bytes.isEmpty {
          var bytes = capture.frames[index].bytes
          // Headers lie in front, where most changes should be.
          let reach = random.oneIn(2) ? min(bytes.count, 80) : bytes.count
          bytes[Int.random(in: 0..<reach, using: &random)] = UInt8(truncatingIfNeeded: random.next())
          if random.oneIn(3) { bytes.removeLast(Int.random(in: 0...bytes.count, using: &random)) }
          capture.frames[index].bytes = bytes
        }
      }
      let (_, counters) = try capture.run(plugins: plugins)
      for index in counters.parserFaults.indices {
        #expect(counters.parserFaults[index] == 0, "faults of \(index == 0 ? "engine" : plugins[index - 1])")
      }
    }
  }

  @Test func countersStopAtTheirMaximum() throws {
    let faults = ParserFaults()
    faults.countHere()
    defer { martletTraceNothing() }
    let counters = try #require(martlet_trace_current().pointee.faults)
    counters[0] = .max - 1
    for _ in 0..<3 { noteFault() }
    #expect(faults.counts[0] == .max)
  }

  @Test func aThreadDoesNotCountWhereAWorkerWas() throws {
    let schema = try BuiltInSchema(plugins: [])
    let worker = try FlowWorker(configuration: FlowConfiguration(), schema: schema, number: 0)
    worker.idle(now: 1)
    #expect(!worker.flush())
    #expect(martlet_trace_current().pointee.faults == nil)
    noteFault()
    #expect(worker.counters.parserFaults[0] == 0)
  }

  @Test func noTwoWorkersShareANumber() throws {
    let schema = try BuiltInSchema(plugins: [])
    let make = { try FlowWorker(configuration: FlowConfiguration(), schema: schema, number: $0) }
    do {
      let worker = try make(3)
      #expect(throws: FlowSetupError.self) { try make(3) }
      withExtendedLifetime(worker) {}
    }
    _ = try make(3)
    for number in [-1, 1024] { #expect(throws: FlowSetupError.self) { try make(number) } }
  }

  @Test func mistakesInWritingFieldsAreThePluginsThatWriteThem() throws {
    let schema = try BuiltInSchema(plugins: [PluginSelection("flowhash"), PluginSelection("vlan")])
    #expect(schema.pluginNames == ["flowhash", "vlan"])
    let worker = try FlowWorker(configuration: FlowConfiguration(), schema: schema, number: 0)
    #expect(worker.pluginNames == ["flowhash", "vlan"])
    let frame = TestPacket(payload: [1]).frame
    var time = frame.time
    frame.bytes.withUnsafeBytes {
      var view = Frame(bytes: $0.baseAddress!, captured: UInt32($0.count), wire: UInt32(frame.wire))
      worker.process(&view, count: 1, times: &time)
    }
    _ = worker.flush()
    let record = try #require(worker.outbox[0])
    let faults = ParserFaults()
    faults.countHere()
    defer { martletTraceNothing() }
    var writer = CarelessWriter()
    schema.write(record, into: &writer)
    let counts = faults.counts
    #expect((0..<4).map { counts[$0] } == [5, 3, 1, 0])
    #expect(worker.counters.parserFaults[0] == 0)
  }
}

/// This thread's faults are counted nowhere again: the counters of a test may end with it.
private func martletTraceNothing() { martlet_trace_faults(nil) }

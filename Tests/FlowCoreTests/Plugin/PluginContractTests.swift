// What the plugin contract promises beyond one packet, one record, one plugin: several records of a packet, byte streams,
// worker contexts, other plugins' states.
import IPFIX
import Testing
import Wire

@testable import FlowCore

/// A record for each line of text, in datagrams and in TCP's streams.
private struct Lines: FlowPlugin {
  static let name = "lines"
  static let summary = "a record for each line"
  static let readsStreams = true

  struct State: FlowState { var line = StoredBytes() }

  init(options: borrowing PluginOptions) {}

  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    let rest = packet.payload.dropFirst(flow.position)
    guard let end = rest.firstIndex(of: 0x0A) else { return .more }
    flow.store(rest.prefix(end), in: &state.line)
    flow.position += end + 1
    return flow.position < packet.payload.count ? .nextRecord : .more
  }

  func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    // `>` begins a request: where there was one, it belongs to a record of its own.
    if stream.bytes[0] == 0x3E, !state.line.isEmpty { return .startNewRecord }
    guard let end = stream.bytes.firstIndex(of: 0x0A) else { return .incomplete() }
    flow.store(stream.bytes.prefix(end), in: &state.line)
    return .nextRecord(taken: end + 1)
  }

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.string(InformationElement(.martlet, 910, "line", .string), flow.bytes(state.line).span)
  }
}

/// Counts packets, in the worker's context too.
private struct Counting: FlowPlugin {
  static let name = "counting"
  static let summary = "packets of the flow and of the worker"

  struct State: FlowState {
    var packets: UInt32 = 0
    var ofWorker: UInt32 = 0
  }
  struct WorkerContext: BitwiseCopyable { var packets: UInt32 }

  init(options: borrowing PluginOptions) {}
  func makeWorkerContext() -> WorkerContext { WorkerContext(packets: 1000) }

  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    state.packets += 1
    flow.worker.packets += 1
    state.ofWorker = flow.worker.packets
    return .more
  }

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned32(InformationElement(.martlet, 911, "packets", .unsigned32), state.packets)
    writer.unsigned32(InformationElement(.martlet, 912, "ofWorker", .unsigned32), state.ofWorker)
  }
}

/// Tells what `counting` counted: at the flow's end, and while it is exported.
private struct Looking: FlowPlugin {
  static let name = "looking"
  static let summary = "what another plugin knows"

  struct State: FlowState { var seen: UInt32 = 0 }

  init(options: borrowing PluginOptions) {}

  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
    state.seen = flow.state(of: Counting.self)?.packets ?? 77
    return true
  }

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned32(InformationElement(.martlet, 913, "seen", .unsigned32), state.seen)
    writer.unsigned32(
      InformationElement(.martlet, 914, "exported", .unsigned32), flow.state(of: Counting.self)?.packets ?? 78
    )
  }
}

/// Gives each packet a record of its own, before it is counted.
private struct Splitting: FlowPlugin {
  static let name = "splitting"
  static let summary = "a record for each packet"
  static let looksBeforeUpdate = true

  struct State: FlowState {}

  init(options: borrowing PluginOptions) {}

  func beforeUpdate(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .startNewRecord
  }
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .more
  }
  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { false }
  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {}
}

/// A record for each octet, counted by `position`.
private struct Octets: FlowPlugin {
  static let name = "octets"
  static let summary = "a record for each octet of a stream"
  static let readsStreams = true

  struct State: FlowState { var octet = StoredBytes() }

  init(options: borrowing PluginOptions) {}

  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    // All are shown again each time: only the position tells how far the records before this one came.
    flow.store(stream.bytes.dropFirst(flow.position).prefix(1), in: &state.octet)
    flow.position += 1
    return flow.position < stream.bytes.count ? .nextRecord(taken: 0) : .all
  }

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.string(InformationElement(.martlet, 915, "octet", .string), flow.bytes(state.octet).span)
  }
}

private enum ContractRegistry: PluginRegistry {
  case lines, counting, looking, banner, splitting, octets

  func visit<Visitor: PluginVisitor & ~Copyable>(_ visitor: inout Visitor) {
    switch self {
    case .lines: visitor.visit(Lines.self)
    case .counting: visitor.visit(Counting.self)
    case .looking: visitor.visit(Looking.self)
    case .banner: visitor.visit(ServerBanner.self)
    case .splitting: visitor.visit(Splitting.self)
    case .octets: visitor.visit(Octets.self)
    }
  }
}

@Suite struct PluginContractTests {
  private func run(_ packets: [TestPacket], _ plugins: String..., burst: Int = 1) throws -> RegistryRun<
    ContractRegistry
  > {
    try RegistryRun(packets.map(\.frame), plugins: plugins, burst: burst)
  }

  private func datagram(_ text: String, port: UInt16 = 50_000) -> TestPacket {
    TestPacket(payload: Array(text.utf8), protocolNumber: 17, port: port)
  }

  private func lines(_ run: RegistryRun<ContractRegistry>) -> [String] {
    run.records.map { $0.text("martlet:line") }
  }

  // MARK: Several records of one packet

  @Test func eachLineOfADatagramIsARecord() throws {
    let run = try run([datagram("a\nbc\nd\n")], "lines")
    #expect(lines(run) == ["a", "bc", "d"])
    #expect(run.records.map(\.packets) == [1, 0, 0])
    #expect(run.counters.endedPackets == 1)
    #expect(run.counters.flowsMade == 3)
  }

  /// The record that began in the midst of a packet goes on: the next packet counts in it, and other plugins begin with it.
  @Test func theLastRecordGoesOn() throws {
    let run = try run([datagram("a\nb\n"), datagram("c\nd\n"), datagram("-")], "counting", "lines")
    #expect(lines(run) == ["a", "c", "d"])
    #expect(run.records.map(\.packets) == [1, 1, 1])
    #expect(run.records.map { $0["martlet:packets"] } == [.number(1), .number(1), .number(1)])
  }

  /// A record without packets has no fields of plugins that saw none.
  @Test func othersAreAbsentWithoutPackets() throws {
    let run = try run([datagram("a\nb\n")], "counting", "lines")
    #expect(run.records.map { $0["martlet:packets"] } == [.number(1), nil])
  }

  @Test func aPacketMakesAtMostThirtyTwoRecords() throws {
    let run = try run([datagram(String(repeating: "x\n", count: 100))], "lines")
    #expect(run.records.count == 32)
    #expect(run.counters.recordsLeftOut == 1)
    #expect(run.counters.endedPackets == 1)
  }

  /// A burst that would fill the outbox four times over: all packets are counted, and what was left out too.
  @Test func theOutboxNeverOverflows() throws {
    let packets = (0..<32).map { datagram(String(repeating: "x\n", count: 150), port: 1000 + UInt16($0)) }
    let run = try run(packets, "lines", burst: 32)
    #expect(run.counters.recordsLeftOut == 32)
    #expect(run.records.reduce(0) { $0 + $1.packets } == 32)
    #expect(run.counters.endedPackets == 32)
    #expect(run.counters.ended.total == run.counters.flowsMade)
    #expect(UInt64(run.records.count) == run.counters.flowsMade)
    #expect(run.faults == 0)
  }

  // MARK: Streams

  /// Text of one direction in pieces, each a segment.
  private func segments(_ pieces: [String], isForward: Bool = true) -> [TestPacket] {
    var sequence: UInt32 = 100
    return pieces.map { piece in
      defer { sequence += UInt32(piece.utf8.count) }
      return TestPacket(isForward: isForward, payload: Array(piece.utf8), sequence: sequence)
    }
  }

  @Test(arguments: [
    ["one\ntwo\nthree\n"], ["one\ntw", "o\nthree\n"], ["o", "ne\n", "two\nthr", "ee", "\n"],
  ])
  func eachLineOfAStreamIsARecord(pieces: [String]) throws {
    let run = try run(segments(pieces), "lines")
    #expect(lines(run).filter { $0 != "" } == ["one", "two", "three"])
    #expect(run.records.reduce(0) { $0 + $1.packets } == Double(pieces.count))
    #expect(run.faults == 0)
  }

  @Test func disorderDoesNotMatter() throws {
    var packets = segments(["one\ntw", "o\nthr", "ee\nfour\n"])
    packets.swapAt(1, 2)
    #expect(try lines(run(packets, "lines")).filter { $0 != "" } == ["one", "two", "three", "four"])
  }

  /// `.startNewRecord`: the packet counts in the record that it starts.
  @Test func aRequestStartsItsOwnRecord() throws {
    let run = try run(segments([">get", " one\n", "x", ">two\n"]), "lines", "counting")
    #expect(lines(run).first == ">get one")
    let total = run.records.reduce(0) { $0 + $1.packets }
    #expect(total == 4)
    #expect(run.faults == 0)
  }

  /// A plugin that reads no streams ends the record before a segment: the segment is read in the record that it starts, with
  /// what was kept of the message before.
  @Test func streamsGoOnInARecordThatAnotherPluginStarts() throws {
    let run = try run(segments(["on", "e\n", "two\n"]), "splitting", "lines")
    #expect(lines(run) == ["", "one", "two"])
    #expect(run.records.map(\.packets) == [1, 1, 1])
    #expect(run.faults == 0)
  }

  @Test func readersFindTheirPositionInTheNextRecord() throws {
    let run = try run(segments(["abc", "d"]), "octets")
    #expect(run.records.map { $0.text("martlet:octet") } == ["a", "b", "d"])
    // The third record goes on: the next segment replaces what it had of the first.
    #expect(run.records.map(\.packets) == [1, 0, 1])
  }

  @Test func theExampleReadsTheBanner() throws {
    let pieces = segments(["SSH-2.0-Open", "SSH_9.2p1\r", "\nkeys"], isForward: false)
    let run = try run([TestPacket(flags: 0x02)] + pieces, "banner")
    #expect(run.records.map { $0.text("martlet:serverBanner") } == ["SSH-2.0-OpenSSH_9.2p1"])
    #expect(
      try self.run(segments(["GET / HTTP/1.1\r\n"]), "banner").records[0]["martlet:serverBanner"] == nil)
    #expect(try self.run([datagram("SSH-2.0\n")], "banner").records[0]["martlet:serverBanner"] == nil)
  }

  // MARK: Contexts and other states

  @Test func workerContextIsMadeOnce() throws {
    let run = try run((0..<3).map { datagram("x", port: 1000 + $0) }, "counting")
    #expect(run.records.map { $0["martlet:ofWorker"] } == [.number(1001), .number(1002), .number(1003)])
  }

  @Test func pluginsSeeOthersStates() throws {
    let packets = [datagram("x"), datagram("y")]
    let fields = try run(packets, "counting", "looking").records[0]
    #expect(fields["martlet:seen"] == .number(2))
    #expect(fields["martlet:exported"] == .number(2))
    let alone = try run(packets, "looking").records[0]
    #expect(alone["martlet:seen"] == .number(77))
    #expect(alone["martlet:exported"] == .number(78))
  }
}

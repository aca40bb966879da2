// The example of docs/writing-a-plugin.md: compiled, run, and the same in both places.
import Foundation
import Testing
import Wire

@testable import FlowCore

/// The example beside one of Martlet's own plugins.
private enum ExampleRegistry: PluginRegistry {
  case vlan, pushes

  func visit<Visitor: PluginVisitor & ~Copyable>(_ visitor: inout Visitor) {
    switch self {
    case .vlan: visitor.visit(VLANIdentifier.self)
    case .pushes: visitor.visit(PushCounter.self)
    }
  }
}

@Suite struct ExamplePluginTests {
  /// What a run over one flow leaves.
  private struct Outcome {
    /// The example's fields; nil where the record has none.
    var fields: Record?
    /// After how many packets the example was done with the flow.
    var doneAfter: Int?
  }

  /// Runs the packets of one flow through an engine with the example as its second plugin.
  private func run(_ packets: [TestPacket], _ selection: String = "pushes") throws -> Outcome {
    let layout = try StateLayout<ExampleRegistry>([PluginSelection("vlan"), PluginSelection(selection)])
    var configuration = FlowConfiguration()
    configuration.flows = 8
    var engine = try Engine(configuration, layout: layout, worker: 0, memory: PlainMemory())
    var outcome = Outcome()
    for (index, packet) in packets.enumerated() {
      let frame = packet.frame
      var time = frame.time
      frame.bytes.withUnsafeBytes {
        var view = Frame(
          bytes: $0.baseAddress!, captured: UInt32($0.count), wire: UInt32(frame.wire))
        engine.process(&view, count: 1, times: &time, step: 1)
      }
      if engine.table.record(1).pointee.interest & 0b10 == 0, outcome.doneAfter == nil {
        outcome.doneAfter = index + 1
      }
    }
    _ = engine.flush()
    let finished = engine.finished
    #expect(finished == 1)
    let record = try #require(engine.outbox[0])
    let head = UnsafePointer(record.assumingMemoryBound(to: FlowRecord.self))
    if head.pointee.presence & 0b10 != 0 {
      let slot = layout.slots[1]
      var collector = FieldCollector()
      slot.plugin.load(as: PushCounter.self).export(
        (record + Int(slot.stateOffset)).load(as: PushCounter.State.self),
        FinishedFlow(
          record: head, slab: engine.slab.pointee.reader, states: PluginStates(),
          trailing: MutableBytes(record + Int(slot.trailingOffset), count: Int(slot.trailingSize))),
        into: &collector)
      outcome.fields = collector.fields
    }
    return outcome
  }

  private let push = TestPacket(payload: [1], flags: 0x18)
  private let pushBack = TestPacket(isForward: false, payload: [1], flags: 0x18)
  private let acknowledgement = TestPacket(flags: 0x10)

  @Test func pushesAreCountedByDirection() throws {
    let outcome = try run([push, acknowledgement, pushBack, push, push])
    #expect(
      outcome.fields == [
        "martlet:tcpPushCount": .number(3), "martlet@reverse:tcpPushCount": .number(1),
      ])
    #expect(outcome.doneAfter == nil)
  }

  @Test func flowsWithoutPushHaveNoFields() throws {
    #expect(try run([acknowledgement]).fields == nil)
  }

  @Test func otherProtocolsAreDoneAtOnce() throws {
    let outcome = try run([TestPacket(payload: [1], protocolNumber: 17)])
    #expect(outcome.doneAfter == 1)
    #expect(outcome.fields == nil)
  }

  @Test func theLimitEndsTheCounting() throws {
    let outcome = try run([push, pushBack, push, push], "pushes:limit=2")
    #expect(outcome.doneAfter == 2)
    #expect(
      outcome.fields == [
        "martlet:tcpPushCount": .number(1), "martlet@reverse:tcpPushCount": .number(1),
      ])
  }

  @Test func badOptionsAreNamed() {
    #expect {
      try run([push], "pushes:limit=0")
    } throws: {
      "\($0)" == "option limit of plugin pushes takes a number from 1 to 65535, not '0'"
    }
  }

  @Test func theDocumentShowsTheseVeryFiles() throws {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let examples = try ["ExamplePlugin.swift", "ExampleStreamPlugin.swift"].map {
      try String(contentsOf: tests.appendingPathComponent($0), encoding: .utf8)
    }
    let document = try String(
      contentsOf: tests.appendingPathComponent("../../docs/writing-a-plugin.md").standardized,
      encoding: .utf8)
    let blocks = document.components(separatedBy: "```swift\n").dropFirst().compactMap {
      $0.components(separatedBy: "```").first
    }
    #expect(blocks == examples)
  }
}

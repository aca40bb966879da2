// What plugins see of packets and of finished flows: addresses, traffic class, flow label and counters, by values that are
// written into the headers by hand; and options that are texts and files.
import Foundation
import IPFIX
import Testing
import Wire

@testable import FlowCore

/// Exports all that a plugin can see.
private struct Mirrored: FlowPlugin {
  static let name = "mirror"
  static let summary = "what plugins see"
  static let options = [
    PluginOption("words", .text(default: "none"), "a text"), PluginOption("list", .path, "a file"),
  ]

  struct State: FlowState {
    var source: UInt64 = 0
    var destination: UInt64 = 0
    var flowLabel: UInt32 = 0
    var trafficClass: UInt8 = 0
    var codePoint: UInt8 = 0
    var congestion: UInt8 = 0
  }

  private let words: Bytes
  private let list: Bytes

  init(options: borrowing PluginOptions) throws(FlowSetupError) {
    words = PluginOptions.keep(options.text("words").utf8)
    list = PluginOptions.keep(try options.contents("list") ?? [])
  }

  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    state.source = packet.source.high ^ packet.source.low
    state.destination = packet.destination.high ^ packet.destination.low
    state.flowLabel = packet.flowLabel
    state.trafficClass = packet.trafficClass
    state.codePoint = packet.differentiatedServices
    state.congestion = packet.congestionNotification
    return .more
  }

  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .more
  }

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    func element(_ number: UInt16, _ name: StaticString, _ type: AbstractDataType = .unsigned64)
      -> InformationElement
    {
      InformationElement(.martlet, number, name, type)
    }
    writer.unsigned64(element(1001, "source"), state.source)
    writer.unsigned64(element(1002, "destination"), state.destination)
    writer.unsigned32(element(1003, "label"), state.flowLabel)
    writer.unsigned8(element(1004, "class"), state.trafficClass)
    writer.unsigned8(element(1005, "codePoint"), state.codePoint)
    writer.unsigned8(element(1006, "congestion"), state.congestion)
    writer.unsigned64(element(1007, "flowSource"), flow.source.high ^ flow.source.low)
    writer.unsigned64(element(1008, "flowDestination"), flow.destination.high ^ flow.destination.low)
    writer.unsigned16(element(1009, "ports"), flow.sourcePort &+ flow.destinationPort)
    writer.unsigned32(element(1010, "forward"), flow.forwardPackets)
    writer.unsigned32(element(1011, "reverse"), flow.reversePackets)
    writer.unsigned64(element(1012, "octets"), flow.forwardOctets)
    writer.unsigned64(element(1013, "reverseOctets"), flow.reverseOctets)
    writer.unsigned8(element(1014, "flags"), flow.forwardFlags)
    writer.unsigned8(element(1015, "reverseFlags"), flow.reverseFlags)
    writer.unsigned64(element(1016, "duration"), flow.last &- flow.first)
    writer.unsigned8(element(1017, "protocol"), flow.protocolNumber)
    writer.unsigned8(element(1018, "reason"), flow.endReason.rawValue)
    writer.unsigned8(element(1019, "version"), flow.isVersion6 ? 6 : 4)
    writer.string(element(1020, "words", .string), words.span)
    writer.string(element(1021, "list", .string), list.span)
  }
}

private enum MirrorRegistry: PluginRegistry {
  case mirrored

  func visit<Visitor: PluginVisitor & ~Copyable>(_ visitor: inout Visitor) {
    visitor.visit(Mirrored.self)
  }
}

@Suite struct PluginViewTests {
  /// The fields of the one flow that the frames are of.
  private func run(_ frames: [CapturedFrame], _ selection: String = "mirror") throws -> Record {
    let layout = try StateLayout<MirrorRegistry>([PluginSelection(selection)])
    try layout.checkDeclarations()
    var configuration = FlowConfiguration()
    configuration.flows = 8
    var engine = try Engine(configuration, layout: layout, worker: 0, memory: PlainMemory())
    for frame in frames {
      var time = frame.time
      frame.bytes.withUnsafeBytes {
        var view = Frame(bytes: $0.baseAddress!, captured: UInt32($0.count), wire: UInt32(frame.wire))
        engine.process(&view, count: 1, times: &time, step: 1)
      }
    }
    _ = engine.flush()
    let finished = engine.finished
    #expect(finished == 1)
    let record = try #require(engine.outbox[0])
    let slot = layout.slots[0]
    var collector = FieldCollector()
    slot.plugin.load(as: Mirrored.self).export(
      (record + Int(slot.stateOffset)).load(as: Mirrored.State.self),
      FinishedFlow(
        record: UnsafePointer(record.assumingMemoryBound(to: FlowRecord.self)),
        slab: engine.slab.pointee.reader, states: PluginStates(), trailing: MutableBytes(record, count: 0)),
      into: &collector)
    return collector.fields
  }

  /// The frame with another first word of its IP header, 14 bytes behind the frame's start.
  private func changed(_ packet: TestPacket, _ bytes: [Int: UInt8]) -> CapturedFrame {
    let frame = packet.frame
    var changed = frame.bytes
    for (offset, byte) in bytes { changed[14 + offset] = byte }
    return CapturedFrame(bytes: changed, wire: frame.wire, time: frame.time)
  }

  private static let start: UInt64 = 1_700_000_000_000_000_000

  @Test func version4() throws {
    // 0xB9: DSCP 46 (expedited forwarding, RFC 3246), ECN 1. Changed after the checksum, which nobody looks at.
    let fields = try run([
      changed(TestPacket(time: Self.start, payload: [1, 2], flags: 0x02), [1: 0xB9]),
      TestPacket(time: Self.start + 5, isForward: false, payload: [1, 2, 3], flags: 0x12).frame,
      TestPacket(time: Self.start + 7, isForward: false, flags: 0x11).frame,
    ])
    #expect(fields["martlet:class"] == .number(0xB9))
    #expect(fields["martlet:codePoint"] == .number(46))
    #expect(fields["martlet:congestion"] == .number(1))
    #expect(fields["martlet:label"] == .number(0))
    #expect(fields["martlet:forward"] == .number(1))
    #expect(fields["martlet:reverse"] == .number(2))
    // 20 of IPv4, 20 of TCP, and the payload.
    #expect(fields["martlet:octets"] == .number(42))
    #expect(fields["martlet:reverseOctets"] == .number(43 + 40))
    #expect(fields["martlet:flags"] == .number(0x02))
    #expect(fields["martlet:reverseFlags"] == .number(0x13))
    #expect(fields["martlet:duration"] == .number(7))
    #expect(fields["martlet:protocol"] == .number(6))
    #expect(fields["martlet:version"] == .number(4))
    let client = FrameBuilder.client4.reduce(0) { $0 * 256 + Double($1) }
    let server = FrameBuilder.server4.reduce(0) { $0 * 256 + Double($1) }
    #expect(fields["martlet:source"] == .number(client))
    #expect(fields["martlet:destination"] == .number(server))
    #expect(fields["martlet:flowSource"] == .number(client))
    #expect(fields["martlet:flowDestination"] == .number(server))
  }

  @Test func version6() throws {
    // Version 6, traffic class 0x2B (DSCP 10, ECN 3), flow label 0xABCDE: 6 2B ABCDE.
    let fields = try run([
      changed(
        TestPacket(time: Self.start, payload: [1], isVersion6: true),
        [0: 0x62, 1: 0xBA, 2: 0xBC, 3: 0xDE])
    ])
    #expect(fields["martlet:class"] == .number(0x2B))
    #expect(fields["martlet:codePoint"] == .number(10))
    #expect(fields["martlet:congestion"] == .number(3))
    #expect(fields["martlet:label"] == .number(0xABCDE))
    #expect(fields["martlet:version"] == .number(6))
    func folded(_ address: [UInt8]) -> Double {
      let halves = [address.prefix(8), address.suffix(8)].map {
        $0.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      }
      return Double(halves[0] ^ halves[1])
    }
    #expect(fields["martlet:source"] == .number(folded(FrameBuilder.client6)))
    #expect(fields["martlet:destination"] == .number(folded(FrameBuilder.server6)))
    #expect(fields["martlet:flowSource"] == .number(folded(FrameBuilder.client6)))
    #expect(fields["martlet:flowDestination"] == .number(folded(FrameBuilder.server6)))
  }

  // MARK: Texts and files

  @Test(arguments: [
    ("mirror", "none"), ("mirror:words=", ""), ("mirror:words=a b", "a b"), ("mirror:words=a=b", "a=b"),
    ("mirror:words=\"a,b\"", "a,b"), ("mirror:words=\"say \\\"x,y\\\" \\\\\"", "say \"x,y\" \\"),
    ("mirror:words=5\" disk", "5\" disk"),
  ])
  func textsAreTaken(selection: String, text: String) throws {
    #expect(try run([TestPacket().frame], selection)["martlet:words"] == .text(text))
  }

  @Test func filesAreReadAtStart() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("one, two.txt")
    try Data("names".utf8).write(to: file)
    let fields = try run([TestPacket().frame], "mirror:words=x,list=\"\(file.path)\"")
    #expect(fields["martlet:list"] == .text("names"))
    #expect(fields["martlet:words"] == .text("x"))

    func line(_ selection: String) -> String? {
      do throws(FlowSetupError) {
        _ = try StateLayout<MirrorRegistry>([PluginSelection(selection)])
        return nil
      } catch {
        return "\(error)"
      }
    }
    #expect(
      line("mirror:list=\(folder.path)/none")
        == "option list of plugin mirror: cannot read \(folder.path)/none: No such file or directory: check name and permissions"
    )
    #expect(
      line("mirror:list=\(folder.path)")
        == "option list of plugin mirror: cannot read \(folder.path): it is a folder: name a file")
    #expect(line("mirror:list") == "option list of plugin mirror takes a file: list=FILE")
    #expect(line("mirror:list=") == "option list of plugin mirror takes a file: list=FILE")
    #expect(line("mirror:words") == "option words of plugin mirror takes a text: words=TEXT")
    #expect(
      line("mirror:words=\"a")
        == "option words of plugin mirror: a value that begins with a quote ends with one, not '\"a'")
  }

  @Test func quotedCommasDoNotSeparatePlugins() {
    let selections = PluginCatalogue.parse("tls,mirror:words=\"a,b\",list=/x,y:words=\"c\\\",d\",vlan")
    #expect(selections.map(\.name) == ["tls", "mirror", "y", "vlan"])
    #expect(selections.map(\.options) == ["", "words=\"a,b\",list=/x", "words=\"c\\\",d\"", ""])
  }
}

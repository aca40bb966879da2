// What a killed process says of what it was at, with an engine whose plugin stumbles over a known packet. Each crash is in a
// process of its own.
import CCrash
import CIntrinsics
import Foundation
import IPFIX
import Rendering
import Testing

@testable import ExporterApp
@testable import FlowCore

/// A plugin that reads at address 64 when it is asked to: by the first byte of a payload, or later, by its state.
private struct StumblingPlugin: FlowPlugin {
  static let name = "stumbling"
  static let summary = "faults on purpose"

  struct State: FlowState {
    var order: UInt8 = 0
  }

  enum Order {
    static let now: UInt8 = 0xA1
    static let whenItEnds: UInt8 = 0xA2
    static let whenItIsExported: UInt8 = 0xA3
  }

  init(options: borrowing PluginOptions) {}

  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    look(&state, packet)
  }

  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    look(&state, packet)
  }

  private func look(_ state: inout State, _ packet: PacketView) -> Verdict {
    let order = packet.payload[0]
    if order == Order.now { stumble() }
    state.order = max(state.order, order)
    return .more
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
    if state.order == Order.whenItEnds { stumble() }
    return true
  }

  static let result = InformationElement(.martlet, 901, "order", .unsigned32)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    if state.order == Order.whenItIsExported { stumble() }
    writer.unsigned32(Self.result, UInt32(state.order))
  }
}

private enum StumblingRegistry: PluginRegistry {
  case histograms, stumbling

  func visit<Visitor: PluginVisitor & ~Copyable>(_ visitor: inout Visitor) {
    switch self {
    case .histograms: visitor.visit(PayloadHistograms.self)
    case .stumbling: visitor.visit(StumblingPlugin.self)
    }
  }
}

@inline(never)
private func stumble() {
  guard let nowhere = UnsafePointer<UInt8>(bitPattern: 64) else { return }
  blackHole = nowhere.pointee
}

nonisolated(unsafe) private var blackHole: UInt8 = 0

/// A UDP datagram with one byte of payload in an Ethernet frame: from port 5000 to 53, from 192.0.2.1 to 198.51.100.2, or
/// from 2001:db8::1 to 2001:db8:0:1:0:0:0:2, which RFC 5952 writes as 2001:db8:0:1::2.
private func frame(_ payload: UInt8, isVersion6: Bool = false, vlan: UInt8? = nil) -> [UInt8] {
  let udp: [UInt8] = [0x13, 0x88, 0, 53, 0, 9, 0, 0, payload]
  let macs = [UInt8](repeating: 2, count: 12) + (vlan.map { [0x81, 0, 0, $0] } ?? [])
  if isVersion6 {
    return macs + [0x86, 0xDD, 0x60, 0, 0, 0, 0, 9, 17, 64]
      + [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]
      + [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 1] + [UInt8](repeating: 0, count: 7) + [2] + udp
  }
  return macs + [8, 0, 0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2] + udp
}

/// The child's part: a thread as the program has it, with a folder for captures; where that is.
@discardableResult
private func prepare(keepsCaptures: Bool = true) -> String {
  setenv("SWIFT_BACKTRACE", "enable=no", 1)
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("crash-\(getpid())").path
  if keepsCaptures { mkdir(folder, 0o700) }
  CrashReport.install()
  try? CrashReport.prepare(
    directory: keepsCaptures ? folder : nil, plugins: ["phists", StumblingPlugin.name])
  CrashReport.lcore(7, "worker")
  return folder
}

/// Has an engine with both plugins work through the frames as one burst, then ends the flows and exports them.
private func run(_ frames: [[UInt8]]) throws {
  let folder = prepare()
  let schema = try RecordSchema<StumblingRegistry>(
    plugins: ["phists", "stumbling"].map { PluginSelection($0) })
  var configuration = FlowConfiguration()
  configuration.flows = 8
  var engine = try Engine(configuration, layout: schema.layout, worker: 0, memory: PlainMemory())
  try schema.register(engine.slab.pointee.reader, worker: 0)
  let views = frames.map { bytes in
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
    _ = copy.initialize(from: bytes)
    return Frame(bytes: copy.baseAddress!, captured: UInt32(bytes.count), wire: UInt32(bytes.count) + 4)
  }
  var time: UInt64 = 1_700_000_000_000_000_000
  engine.process(views, count: views.count, times: &time, step: 0)
  _ = engine.flush()
  var writer = JSONRecordWriter()
  for index in 0..<engine.finished {
    if let record = engine.outbox[index] { schema.write(record, into: &writer) }
  }
  // Where nothing stumbled.
  rmdir(folder)
}

/// The line that the child wrote, and the frames of the capture it names, which is removed; with what is in front of them.
private func report(_ result: ExitTest.Result?) throws -> (line: String, frames: [[UInt8]], header: [UInt8]) {
  let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
  let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("martlet: killed by ") })
  guard let start = line.range(of: "written to ") else { return (String(line), [], []) }
  let path = String(line[start.upperBound...].prefix { $0 != " " })
  let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
  try FileManager.default.removeItem(at: URL(fileURLWithPath: path).deletingLastPathComponent())
  var frames: [[UInt8]] = []
  var at = 24
  func number(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) } }
  while at + 16 <= bytes.count {
    let captured = number(at + 8)
    #expect(number(at + 12) == captured + 4)
    frames.append(Array(bytes[(at + 16)..<(at + 16 + captured)]))
    at += 16 + captured
  }
  #expect(at == bytes.count)
  return (String(line), frames, Array(bytes.prefix(24)))
}

@Suite(.serialized) struct CrashReportTests {
  @Test func aPluginIsNamedWithItsPacket() async throws {
    let result = await #expect(processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]) {
      try run([frame(1), frame(2, vlan: 9), frame(StumblingPlugin.Order.now), frame(4)])
    }
    let (line, frames, header) = try report(result)
    let expected =
      "martlet: killed by SIGSEGV (address 0x40) on lcore 7 (worker), plugin stumbling, "
      + "flow 192.0.2.1:5000 > 198.51.100.2:53 udp, packet 3 of a burst of 4, written to /"
    #expect(line.hasPrefix(expected), "\(line)")
    #expect(frames == [frame(1), frame(2, vlan: 9), frame(StumblingPlugin.Order.now), frame(4)])
    // pcap with nanoseconds, version 2.4, Ethernet (draft-ietf-opsawg-pcap, section 4).
    #expect(header[0..<8] == [0x4D, 0x3C, 0xB2, 0xA1, 2, 0, 4, 0] && header[20..<24] == [1, 0, 0, 0])
  }

  @Test func anIPv6FlowIsReadFromThePacket() async throws {
    let result = await #expect(processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]) {
      try run([frame(StumblingPlugin.Order.now, isVersion6: true, vlan: 9)])
    }
    let line = try report(result).line
    #expect(
      line.contains(
        "plugin stumbling, flow [2001:db8::1]:5000 > [2001:db8:0:1::2]:53 udp vlan 9, packet 1 of a burst of 1, "
      ),
      "\(line)")
  }

  @Test func anIPv6FlowIsReadFromTheRecord() async throws {
    let result = await #expect(processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]) {
      try run([frame(1), frame(StumblingPlugin.Order.whenItEnds, isVersion6: true), frame(3)])
    }
    let (line, frames, _) = try report(result)
    #expect(
      line.contains(
        "plugin stumbling, flow [2001:db8::1]:5000 > [2001:db8:0:1::2]:53 udp, last burst of 3, "), "\(line)")
    #expect(frames.count == 3)
  }

  @Test func aRecordThatIsExportedIsNamed() async throws {
    let result = await #expect(processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]) {
      try run([frame(StumblingPlugin.Order.whenItIsExported, vlan: 9), frame(1, isVersion6: true)])
    }
    let line = try report(result).line
    #expect(
      line.contains(
        "plugin stumbling, flow 192.0.2.1:5000 > 198.51.100.2:53 udp vlan 9, last burst of 2, "), "\(line)")
  }

  @Test func wrongPointersEndNothing() async throws {
    let result = await #expect(processExitsWith: .signal(SIGILL), observing: [\.standardErrorContent]) {
      prepare()
      let bytes: [UInt8] = frame(1)
      bytes.withUnsafeBufferPointer { bytes in
        let frames = [
          Frame(bytes: bytes.baseAddress!, captured: UInt32(bytes.count), wire: UInt32(bytes.count) + 4),
          // Nothing is there; then more than can be; then what begins well and leads to the kernel's half.
          Frame(bytes: UnsafeRawPointer(bitPattern: 4096)!, captured: 64, wire: 64),
          Frame(bytes: bytes.baseAddress!, captured: .max, wire: .max),
          Frame(bytes: UnsafeRawPointer(bitPattern: UInt.max - 8)!, captured: 64, wire: 64),
          Frame(bytes: bytes.baseAddress!, captured: 20, wire: 24),
        ]
        martlet_trace_burst(frames, 5)
        martlet_trace_packet(UnsafeRawPointer(bitPattern: 8192))
        martlet_trace_slot(900)
        raise(SIGILL)
      }
    }
    let (line, frames, _) = try report(result)
    let expected =
      "martlet: killed by SIGILL on lcore 7 (worker), no plugin, a flow that cannot be read, last burst of 5, "
      + "2 of them written to /"
    #expect(line.hasPrefix(expected) && line.hasSuffix(" (Bad address)"), "\(line)")
    #expect(frames == [frame(1), Array(frame(1).prefix(20))])
  }

  @Test func framesThatAreNotThereEndNothing() async throws {
    let result = await #expect(processExitsWith: .signal(SIGBUS), observing: [\.standardErrorContent]) {
      prepare()
      martlet_trace_burst(UnsafeRawPointer(bitPattern: 4096), .max)
      martlet_trace_record(UnsafeRawPointer(bitPattern: 8))
      raise(SIGBUS)
    }
    let line = try report(result).line
    #expect(
      line.contains(", a flow that cannot be read, last burst of 32, 0 of them written to /"), "\(line)")
  }

  @Test func aStackThatOverflowsIsTold() async throws {
    let result = await #expect(processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]) {
      prepare(keepsCaptures: false)
      @inline(never) func dig(_ depth: Int) -> Int { depth < 0 ? 0 : dig(depth + 1) + Int(blackHole) }
      _ = dig(0)
    }
    let line = try report(result).line
    #expect(line.contains(" on lcore 7 (worker), no plugin, no flow, no burst"), "\(line)")
  }

  /// RFC 5952, sections 4.1 to 4.3: no leading zeros, the longest run of zeros is cut, the first of two, never one alone.
  @Test(arguments: [
    ([0x2001, 0xDB8, 0, 0, 0, 0, 2, 1], "[2001:db8::2:1]"),
    ([0x2001, 0xDB8, 0, 1, 1, 1, 1, 1], "[2001:db8:0:1:1:1:1:1]"),
    ([0x2001, 0, 0, 1, 0, 0, 0, 1], "[2001:0:0:1::1]"),
    ([0x2001, 0xDB8, 0, 0, 1, 0, 0, 1], "[2001:db8::1:0:0:1]"),
    ([0, 0, 0, 0, 0, 0, 0, 0], "[::]"), ([0, 0, 0, 0, 0, 0, 0, 1], "[::1]"),
    ([1, 0, 0, 0, 0, 0, 0, 0], "[1::]"),
    ([0xFE80, 1, 2, 3, 4, 5, 6, 0xABCD], "[fe80:1:2:3:4:5:6:abcd]"),
  ])
  func addressesAreWrittenAsUsual(groups: [UInt16], text: String) {
    let address = groups.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
    var line = martlet_crash_line()
    martlet_crash_put_flow(&line, 0, 1 << 28 | 58 << 8, address + [UInt8](repeating: 0, count: 16))
    #expect(String(line) == "\(text) > [::] icmpv6")
  }

  @Test(arguments: [
    (0, "19700101T000000Z"), (951_782_400, "20000229T000000Z"), (1_735_689_599, "20241231T235959Z"),
    (4_107_542_399, "21000228T235959Z"), (4_107_542_400, "21000301T000000Z"),
  ])
  func timesAreWrittenAsUsual(seconds: Int, text: String) {
    var line = martlet_crash_line()
    martlet_crash_put_time(&line, seconds)
    #expect(String(line) == text)
  }

  @Test func aLineThatIsTooLongIsCut() {
    var line = martlet_crash_line()
    for _ in 0..<200 { martlet_crash_put(&line, "a name\nwith\u{1B}ä") }
    martlet_crash_end(&line)
    let text = String(line)
    #expect(text.utf8.count == 1023 && text.hasPrefix("a name?with?äa name?with?ä"))
    #expect(text.last == "\n" && !text.dropLast().contains("\n"))
  }

  @Test func aFolderThatIsNotThereIsWrongUsage() {
    for path in ["/nowhere/at/all", "/etc/passwd", ""] {
      #expect { try CrashReport.prepare(directory: path, plugins: []) } throws: {
        ($0 as? Failure)?.status == Failure.usageStatus
      }
    }
  }
}

extension String {
  fileprivate init(_ line: martlet_crash_line) {
    self = Swift.withUnsafeBytes(of: line.text) { String(decoding: $0.prefix(line.length), as: UTF8.self) }
  }
}

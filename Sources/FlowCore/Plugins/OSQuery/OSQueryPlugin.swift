// osquery: which program and user of this host a flow belongs to. osqueryi is asked by the exporter's control lcore
// (`HostQuestion`), never from here: a worker only looks the flow up in what was answered, once, when the flow ends.
import IPFIX
import Wire

/// `--plugin osquery[:path=PROGRAM,interval=S]`.
struct OSQueryPlugin: FlowPlugin {
  static let name = "osquery"
  static let summary =
    "program and user whose connection the flow is, where it is one of this host, as osqueryi says"
  static let seesFirstPacketOnly = true
  static let options = [
    PluginOption(
      "path", .text(default: "osqueryi"),
      "the program that is asked; without a slash it is looked for in PATH"),
    PluginOption(
      "interval", .number(1...3600, default: 10),
      "live: seconds from one question for the connections to the next"),
  ]

  struct State: FlowState {
    /// The program's name, and behind it the user's.
    var names = StoredBytes()
    /// How many of the bytes are the program's.
    var programLength: UInt8 = 0
  }

  let host = HostKnowledge()
  private let program: Bytes
  private let interval: Int

  init(options: borrowing PluginOptions) {
    program = PluginOptions.keep(Array(options.text("path").utf8))
    interval = options.number("interval")
  }

  /// What the exporter is to ask, and where its answers go.
  var question: HostQuestion {
    HostQuestion(program: String(decoding: program.buffer, as: UTF8.self), interval: interval, answers: host)
  }

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
    guard let owner = host.owner(of: SocketKey(flow)) else { return false }
    owner.withNames { flow.store($0, in: &state.names) }
    state.programLength = owner.programLength
    return true
  }

  // MARK: Fields

  static let programName = InformationElement(.cesnet, 852, "OSQueryProgramName", .string)
  static let username = InformationElement(.cesnet, 853, "OSQueryUsername", .string)
  static let systemName = InformationElement(.cesnet, 854, "OSQueryOSName", .string)
  static let systemMajor = InformationElement(.cesnet, 855, "OSQueryOSMajor", .unsigned16)
  static let systemMinor = InformationElement(.cesnet, 856, "OSQueryOSMinor", .unsigned16)
  static let systemBuild = InformationElement(.cesnet, 857, "OSQueryOSBuild", .string)
  static let platform = InformationElement(.cesnet, 858, "OSQueryOSPlatform", .string)
  static let platformLike = InformationElement(.cesnet, 859, "OSQueryOSPlatformLike", .string)
  static let architecture = InformationElement(.cesnet, 860, "OSQueryOSArch", .string)
  static let kernelVersion = InformationElement(.cesnet, 861, "OSQueryKernelVersion", .string)
  static let hostname = InformationElement(.cesnet, 862, "OSQuerySystemHostname", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let names = flow.bytes(state.names)
    let system = host.description
    writer.string(Self.programName, Self.known(names.prefix(Int(state.programLength))).span)
    writer.string(Self.username, Self.known(names.dropFirst(Int(state.programLength))).span)
    writer.string(Self.systemName, Self.known(system.name).span)
    writer.unsigned16(Self.systemMajor, system.major)
    writer.unsigned16(Self.systemMinor, system.minor)
    writer.string(Self.systemBuild, Self.known(system.build).span)
    writer.string(Self.platform, Self.known(system.platform).span)
    writer.string(Self.platformLike, Self.known(system.platformLike).span)
    writer.string(Self.architecture, Self.known(system.architecture).span)
    writer.string(Self.kernelVersion, Self.known(system.kernel).span)
    writer.string(Self.hostname, Self.known(system.hostname).span)
  }

  /// The text, or ipfixprobe's word for one that osqueryi did not say.
  private static func known(_ text: Bytes) -> Bytes {
    let undefined: StaticString = "UNDEFINED"
    return text.isEmpty
      ? Bytes(UnsafeRawPointer(undefined.utf8Start), count: undefined.utf8CodeUnitCount) : text
  }
}

// ssdp: what devices announce and clients look for by UPnP's discovery (UPnP Device Architecture 2.0 section 1).
import IPFIX
import Wire

/// `--plugin ssdp`.
struct SSDPPlugin: FlowPlugin {
  static let name = "ssdp"
  static let summary = "SSDP: announced and searched services, location port, server and user agent"
  static let protocols: FlowProtocols = .udp

  struct State: FlowState {
    /// Values, each once and followed by a semicolon.
    var announced = StoredBytes()
    var userAgents = StoredBytes()
    var searched = StoredBytes()
    var servers = StoredBytes()
    /// The port of the last location that names one.
    var locationPort: UInt16 = 0
    /// A packet was sent to the port of SSDP.
    var isPresent = false
  }

  /// The port of SSDP.
  private static let port: UInt16 = 1900
  /// The most bytes of a list of services, and of one of names of programs.
  private static let longestServices = 510
  private static let longestPrograms = 254

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.protocolNumber == IPProtocol.udp else { return .done }
    if packet.destinationPort == Self.port {
      note(&state, packet.payload, &flow)
      return .more
    }
    // An answer: what it answers may come as well.
    return packet.sourcePort == Self.port ? .more : .done
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { state.isPresent }

  @inline(never)
  private func note(_ state: inout State, _ payload: Bytes, _ flow: inout FlowContext<Self>) {
    guard var message = SSDPMessage(payload) else { return }
    state.isPresent = true
    while let (name, value) = message.nextHeader() {
      switch message.kind {
      case .notify:
        if name.equals("nt") {
          addService(value, to: &state.announced, &flow)
        } else if name.equals("server") {
          add(value, to: &state.servers, limit: Self.longestPrograms, &flow)
        } else if name.equals("location"), let port = portOfURL(value) {
          state.locationPort = port
        }
      case .search:
        if name.equals("st") {
          addService(value, to: &state.searched, &flow)
        } else if name.equals("user-agent") {
          add(value, to: &state.userAgents, limit: Self.longestPrograms, &flow)
        }
      }
    }
  }

  /// Adds the name of a service or a kind of device; other values name one device, or all of them.
  private func addService(_ value: Bytes, to list: inout StoredBytes, _ flow: inout FlowContext<Self>) {
    guard value.starts(with: "urn:") else { return }
    add(value.dropFirst(4), to: &list, limit: Self.longestServices, &flow)
  }

  /// Adds a value that is not in the list yet, if there is room for all of it.
  private func add(
    _ value: Bytes, to list: inout StoredBytes, limit: Int, _ flow: inout FlowContext<Self>
  ) {
    guard !value.isEmpty, list.count &+ value.count < limit, !contains(flow.bytes(list), value),
      flow.append(value, to: &list, limit: limit)
    else { return }
    flow.append(Bytes(";"), to: &list, limit: limit)
  }

  /// Whether `value` stands in a list, from one semicolon to another.
  private func contains(_ list: Bytes, _ value: Bytes) -> Bool {
    var start = 0
    while list.count &- start > value.count {
      if list[start &+ value.count] == 0x3B, list.slice(start, value.count).isEqual(to: value) { return true }
      guard let end = list.firstIndex(of: 0x3B, from: start) else { return false }
      start = end &+ 1
    }
    return false
  }

  // MARK: Fields

  static let locationPort = InformationElement(.cesnet, 821, "SSDPLocationPort", .unsigned16)
  static let announced = InformationElement(.cesnet, 824, "SSDPNT", .string)
  static let userAgent = InformationElement(.cesnet, 823, "SSDPUserAgent", .string)
  static let searched = InformationElement(.cesnet, 825, "SSDPST", .string)
  static let server = InformationElement(.cesnet, 822, "SSDPServer", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned16(Self.locationPort, state.locationPort)
    writer.string(Self.announced, flow.bytes(state.announced).span)
    writer.string(Self.userAgent, flow.bytes(state.userAgents).span)
    writer.string(Self.searched, flow.bytes(state.searched).span)
    writer.string(Self.server, flow.bytes(state.servers).span)
  }
}

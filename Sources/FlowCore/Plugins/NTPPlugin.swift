// ntp: what clients and servers of NTP version 4 tell each other (RFC 5905).
import IPFIX
import Wire

/// `--plugin ntp`. Each packet is a record.
struct NTPPlugin: FlowPlugin {
  static let name = "ntp"
  static let summary = "the header of each NTP packet: stratum, reference, delay, dispersion and times"
  static let protocols: FlowProtocols = .udp

  struct State: FlowState {
    /// The header; empty where the packet is none of NTP's version 4.
    var header = StoredBytes()
  }

  /// The port of NTP.
  private static let port: UInt16 = 123
  private static let version: UInt8 = 4
  /// Modes: what asks, and what answers. Others are those of peers, broadcasts and management.
  private static let client: UInt8 = 3
  private static let server: UInt8 = 4
  /// The largest values that are any clock's (RFC 5905 section 7.2): not synchronised, 36 hours.
  private static let largestStratum: UInt8 = 16
  private static let largestPoll: UInt8 = 17

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.protocolNumber == IPProtocol.udp,
      packet.sourcePort == Self.port || packet.destinationPort == Self.port
    else { return .done }
    note(&state, packet.payload, &flow)
    return .flush
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { !state.header.isEmpty }

  @inline(never)
  private func note(_ state: inout State, _ payload: Bytes, _ flow: inout FlowContext<Self>) {
    guard let header = NTPHeader(payload), header.version == Self.version,
      header.mode == Self.client || header.mode == Self.server,
      header.stratum <= Self.largestStratum, header.poll <= Self.largestPoll
    else { return }
    flow.store(payload, in: &state.header, limit: NTPHeader.length)
  }

  // MARK: Fields

  static let leap = InformationElement(.cesnet, 18, "NTPLeap", .unsigned8)
  static let version4 = InformationElement(.cesnet, 19, "NTPVersion", .unsigned8)
  static let mode = InformationElement(.cesnet, 20, "NTPMode", .unsigned8)
  static let stratum = InformationElement(.cesnet, 21, "NTPStratum", .unsigned8)
  static let poll = InformationElement(.cesnet, 22, "NTPPoll", .unsigned8)
  static let precision = InformationElement(.cesnet, 23, "NTPPrecision", .unsigned8)
  static let delay = InformationElement(.cesnet, 24, "NTPDelay", .unsigned32)
  static let dispersion = InformationElement(.cesnet, 25, "NTPDispersion", .unsigned32)
  static let referenceIdentifier = InformationElement(.cesnet, 26, "NTPRefID", .string)
  static let reference = InformationElement(.cesnet, 27, "NTPRef", .string)
  static let origin = InformationElement(.cesnet, 28, "NTPOrig", .string)
  static let receive = InformationElement(.cesnet, 29, "NTPRecv", .string)
  static let transmit = InformationElement(.cesnet, 30, "NTPSent", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let header = NTPHeader(flow.bytes(state.header))
    writer.unsigned8(Self.leap, header?.leap ?? 0)
    writer.unsigned8(Self.version4, header?.version ?? 0)
    writer.unsigned8(Self.mode, header?.mode ?? 0)
    writer.unsigned8(Self.stratum, header?.stratum ?? 0)
    writer.unsigned8(Self.poll, header?.poll ?? 0)
    writer.unsigned8(Self.precision, header?.precision ?? 0)
    writer.unsigned32(Self.delay, header?.rootDelay ?? 0)
    writer.unsigned32(Self.dispersion, header?.rootDispersion ?? 0)
    writer.string(Self.referenceIdentifier, identifier(header).span)
    writer.string(Self.reference, text(header?.reference).span)
    writer.string(Self.origin, text(header?.origin).span)
    writer.string(Self.receive, text(header?.receive).span)
    writer.string(Self.transmit, text(header?.transmit).span)
  }

  /// An IPv4 address, or what else the four bytes are, as one; the kisses of death that say so in letters as these
  /// (RFC 5905 section 7.4).
  private func identifier(_ header: NTPHeader?) -> ShortText {
    var text = ShortText()
    guard let header else { return text }
    let bytes = header.referenceIdentifier
    if header.stratum == 0,
      bytes.starts(with: "INIT") || bytes.starts(with: "STEP") || bytes.starts(with: "DENY")
        || bytes.starts(with: "RATE")
    {
      text.append(bytes)
      return text
    }
    var index = 0
    while index < bytes.count {
      if index > 0 { text.append(0x2E) }
      text.append(decimal: UInt32(bytes[index]))
      index &+= 1
    }
    return text
  }

  /// Seconds of NTP's era with six decimals.
  private func text(_ time: NTPTimestamp?) -> ShortText {
    var text = ShortText()
    guard let time else { return text }
    text.append(decimal: time.seconds)
    text.append(0x2E)
    text.append(decimal: time.microseconds, digits: 6)
    return text
  }
}

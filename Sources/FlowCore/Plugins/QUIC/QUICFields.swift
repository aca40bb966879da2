// The fields of the quic plugin: ipfixprobe's first, then Martlet's own (docs/elements.md).
import IPFIX
import Wire

extension QUICPlugin {
  static let serverName = InformationElement(.cesnet, 890, "quicSNI", .string)
  static let userAgent = InformationElement(.cesnet, 891, "quicUserAgent", .string)
  static let version = InformationElement(
    .cesnet, 892, "quicVersion", .unsigned32, semantics: .identifier)
  static let clientVersion = InformationElement(
    .cesnet, 893, "quicClientVersion", .unsigned32, semantics: .identifier)
  static let tokenLength = InformationElement(
    .cesnet, 894, "quicTokenLength", .unsigned64, semantics: .quantity, units: .octets)
  static let originalClientID = InformationElement(.cesnet, 895, "quicOCCID", .octetArray)
  static let originalServerID = InformationElement(.cesnet, 896, "quicOSCID", .octetArray)
  static let serverID = InformationElement(.cesnet, 897, "quicSCID", .octetArray)
  static let retryID = InformationElement(.cesnet, 898, "quicRetrySCID", .octetArray)
  static let multiplexed = InformationElement(.cesnet, 899, "quicMultiplexed", .unsigned8)
  static let zeroRTT = InformationElement(
    .cesnet, 889, "quicZeroRTT", .unsigned8, units: .packets)
  static let serverPort = InformationElement(
    .cesnet, 887, "quicServerPort", .unsigned16, semantics: .identifier)
  static let packets = InformationElement(.cesnet, 888, "quicPackets", .unsigned8, semantics: .flags)
  static let isHelloParsed = InformationElement(.cesnet, 886, "quicCHParsed", .unsigned8)
  static let extensionType = InformationElement(
    .cesnet, 885, "quicTlsExtType", .unsigned16, semantics: .identifier)
  static let extensionLength = InformationElement(
    .cesnet, 884, "quicTlsExtLen", .unsigned16, semantics: .quantity, units: .octets)
  static let extensions = InformationElement(.cesnet, 883, "quicTlsExt", .octetArray)
  static let offeredProtocols = InformationElement(.martlet, 190, "quicClientAlpn", .string)
  static let ja4 = InformationElement(.martlet, 191, "quicJa4", .string)
  static let cipherSuite = InformationElement(
    .martlet, 192, "quicTlsCipherSuite", .unsigned16, semantics: .identifier)
  static let tlsVersion = InformationElement(
    .martlet, 193, "quicTlsServerVersion", .unsigned16, semantics: .identifier)
  static let encryptedHello = InformationElement(
    .martlet, 194, "quicTlsEncryptedClientHello", .unsigned8, semantics: .flags)
  static let forwardShortHeader = InformationElement(.martlet, 195, "quicShortHeaderID", .octetArray)
  static let reverseShortHeader = InformationElement(.martlet, 196, "quicReverseShortHeaderID", .octetArray)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let connection =
      state.connection.isEmpty
      ? QUICConnection() : flow.slab.contents(state.connection.block).load(QUICConnection.self, at: 0)
    let contents = flow.slab.contents(state.hello.block)
    let hello = state.hello.isEmpty ? QUICHello() : contents.load(QUICHello.self, at: 0)
    writer.string(Self.serverName, hello.serverName.bytes(in: contents).span)
    writer.string(Self.userAgent, hello.userAgent.bytes(in: contents).span)
    writer.unsigned32(Self.version, connection.version)
    writer.unsigned32(Self.clientVersion, connection.clientVersion)
    writer.unsigned64(Self.tokenLength, connection.tokenLength)
    Self.write(connection.originalClient, Self.originalClientID, &writer)
    Self.write(connection.originalServer, Self.originalServerID, &writer)
    Self.write(connection.server, Self.serverID, &writer)
    Self.write(connection.retry, Self.retryID, &writer)
    writer.unsigned8(Self.multiplexed, connection.multiplexed)
    writer.unsigned8(Self.zeroRTT, connection.zeroRTT)
    writer.unsigned16(Self.serverPort, connection.serverPort)
    writer.list(Self.packets, count: min(Int(state.packetCount), Self.listed)) { state.packets[total: $0] }
    writer.unsigned8(Self.isHelloParsed, state.hello.isEmpty ? 0 : 1)
    let extensionCount = min(Int(hello.extensionCount), 30)
    writer.list(Self.extensionType, count: extensionCount) { hello.extensionTypes[total: $0] }
    writer.list(Self.extensionLength, count: extensionCount) { hello.extensionLengths[total: $0] }
    writer.octets(Self.extensions, hello.extensions.bytes(in: contents).span)
    writer.string(Self.offeredProtocols, hello.offeredProtocols.bytes(in: contents).span)
    writer.string(
      Self.ja4, hello.ja4.span.bytes.extracting(first: hello.hasFingerprint ? hello.ja4.count : 0))
    writer.unsigned16(Self.cipherSuite, connection.cipherSuite)
    writer.unsigned16(Self.tlsVersion, connection.tlsVersion)
    writer.unsigned8(Self.encryptedHello, hello.hasEncryptedHello ? 1 : 0)
    Self.write(connection.forwardShortHeader, Self.forwardShortHeader, &writer)
    Self.write(connection.reverseShortHeader, Self.reverseShortHeader, &writer)
  }

  @inline(__always)
  private static func write<Writer: FieldWriter & ~Copyable>(
    _ id: QUICConnection.ID, _ element: InformationElement, _ writer: inout Writer
  ) {
    writer.octets(element, id.bytes.span.bytes.extracting(first: id.count))
  }
}

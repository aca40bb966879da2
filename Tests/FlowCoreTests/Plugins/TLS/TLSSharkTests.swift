// The tls plugin held against tshark on public captures.
import Foundation
import Testing

@testable import FlowCore

@Suite struct TLSSharkTests {
  /// What a hello is compared by.
  private struct Line: Hashable, CustomStringConvertible {
    var fields: [String]
    var description: String { fields.joined(separator: " | ") }
  }

  private static let program = ["/usr/bin/tshark", "/usr/local/bin/tshark"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  /// Runs `tshark -r PATH -Y FILTER -T fields -e FIELD …`.
  private static func shark(_ path: String, _ filter: String, _ fields: [String]) throws -> Set<Line> {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: program!)
    process.arguments =
      ["-n", "-r", path, "-Y", filter, "-T", "fields", "-E", "occurrence=f"] + fields.flatMap { ["-e", $0] }
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Set(
      String(decoding: data, as: UTF8.self).split(separator: "\n").map {
        Line(fields: $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init))
      })
  }

  /// The captures of the corpus in which tshark finds a TLS hello; starting it for all others takes a minute.
  private static let captures = [
    "functional/tls.pcap", "ndpi/443-curl.pcap", "ndpi/dlt_ppp.pcap", "ndpi/google_ssl.pcap",
    "ndpi/http_ipv6.pcap", "ndpi/imap-starttls.pcap", "ndpi/ja3_lots_of_cipher_suites.pcap",
    "ndpi/lru_ipv6_caches.pcapng", "ndpi/ossfuzz_seed_fake_traces_1.pcapng", "ndpi/smtp-starttls.pcap",
    "ndpi/tls-esni-fuzzed.pcap", "ndpi/tls_1.3_unidirectional_client.pcapng", "ndpi/tls_2_reasms.pcapng",
    "ndpi/tls_esni_sni_both.pcap", "ndpi/tls_missing_ch_frag.pcap",
    "ndpi/tls_multiple_synack_different_seq.pcapng", "ndpi/tls_with_huge_ch.pcapng",
  ]

  @Test(
    .enabled(if: Corpus.directory != nil && program != nil, "needs ../shared/corpus and tshark"),
    arguments: captures)
  func hellosAreThoseOfTshark(name: String) throws {
    let path = "\(Corpus.directory!)/\(name)"
    let capture = try #require(Capture(path: path))
    let records = try capture.run(plugins: ["tls"]).records
    // Tunnels are not opened, OpenVPN is the ovpn plugin's, and QUIC's hellos are the quic plugin's.
    let outer = "tcp && !gre && !vxlan && !udp && !(ip && ipv6) && !icmp && !icmpv6 && !openvpn"
    let hellos = try Self.shark(
      path, "tls.handshake.type in {1,2} && \(outer)",
      [
        "tls.handshake.type", "tcp.srcport", "tcp.dstport", "tls.handshake.ja3", "tls.handshake.ja3s",
        "tls.handshake.extensions_server_name", "tls.handshake.ciphersuite",
        "tls.handshake.cipher_suites_length",
      ])
    // Those that offer all there is have no fingerprint here (`FingerprintLimit`).
    func isShort(_ line: Line) -> Bool { (Int(line.fields[7]) ?? 0) / 2 <= 80 }
    let clients = Set(
      hellos.filter { $0.fields[0] == "1" && isShort($0) }
        .map { Line(fields: [$0.fields[1], $0.fields[3], $0.fields[5]]) })
    let servers = Set(
      hellos.filter { $0.fields[0] == "2" }.map { Line(fields: [$0.fields[2], $0.fields[4], $0.fields[6]]) })
    var found: (clients: Set<Line>, servers: Set<Line>) = ([], [])
    for record in records
    where record["cesnet:tlsJa4"] != nil && record.number("iana:protocolIdentifier") == 6 {
      let ports = [
        Int(record.number("iana:sourceTransportPort")), Int(record.number("iana:destinationTransportPort")),
      ]
      for port in ports {
        let ja3 = record.text("flowmon:tlsJa3Fingerprint").dropFirst(2)
        if let line = clients.first(where: { $0.fields[0] == "\(port)" && $0.fields[1] == ja3 }) {
          #expect(line.fields[2] == record.text("cesnet:TLSSNI"))
          found.clients.insert(line)
        }
        let ja3s = record.text("martlet:tlsJa3sFingerprint").dropFirst(2)
        if let line = servers.first(where: { $0.fields[0] == "\(port)" && $0.fields[1] == ja3s }) {
          #expect(Int(line.fields[2].dropFirst(2), radix: 16) == Int(record.number("martlet:tlsCipherSuite")))
          found.servers.insert(line)
        }
      }
    }
    #expect(clients.subtracting(found.clients) == [])
    #expect(servers.subtracting(found.servers) == [])
  }
}

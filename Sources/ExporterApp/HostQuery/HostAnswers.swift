// What osqueryi is asked, in its SQL, and what its rows mean: the host's description, and its connections with their owners.
import FlowCore
import Glibc
import Wire

/// The questions, and how the rows of their answers are read.
enum HostAnswers {
  /// A row of what does not change while the program runs.
  static let descriptionQuery =
    "SELECT o.name, o.major, o.minor, o.build, o.platform, o.platform_like, o.arch, k.version, s.hostname "
    + "FROM os_version o, kernel_info k, system_info s LIMIT 1"

  /// A row for each connection; sockets without another end have none to be found by.
  static let socketsQuery =
    "SELECT s.protocol, s.local_address, s.local_port, s.remote_address, s.remote_port, p.name, u.username "
    + "FROM process_open_sockets s JOIN processes p ON p.pid = s.pid LEFT JOIN users u ON u.uid = p.uid "
    + "WHERE s.remote_port > 0"

  /// The host's description; nil without a row.
  static func description(_ rows: [[String: String]]) -> HostDescription? {
    guard let row = rows.first else { return nil }
    var description = HostDescription()
    description.name = text(row["name"])
    description.major = UInt16(row["major"] ?? "") ?? 0
    description.minor = UInt16(row["minor"] ?? "") ?? 0
    description.build = text(row["build"])
    description.platform = text(row["platform"])
    description.platformLike = text(row["platform_like"])
    description.architecture = text(row["arch"])
    description.kernel = text(row["version"])
    description.hostname = text(row["hostname"])
    return description
  }

  /// The connections of the rows that are complete.
  static func owners(_ rows: [[String: String]]) -> [SocketKey: SocketOwner] {
    var owners: [SocketKey: SocketOwner] = [:]
    for row in rows {
      guard let local = IPAddress(row["local_address"] ?? ""),
        let remote = IPAddress(row["remote_address"] ?? ""),
        let localPort = UInt16(row["local_port"] ?? ""), let remotePort = UInt16(row["remote_port"] ?? ""),
        let protocolNumber = UInt8(row["protocol"] ?? "")
      else { continue }
      owners[SocketKey(local, localPort, remote, remotePort, protocolNumber: protocolNumber)] =
        SocketOwner(program: row["name"] ?? "", user: row["username"] ?? "")
    }
    return owners
  }

  /// A text that stays as long as the process.
  private static func text(_ value: String?) -> Bytes {
    PluginOptions.keep((value ?? "").utf8.prefix(HostDescription.longestText))
  }
}

extension IPAddress {
  /// An address as osqueryi writes it. One of IPv4 in a socket of IPv6 (`::ffff:192.0.2.1`, RFC 4291 section 2.5.5.2) is
  /// what its packets have: IPv4.
  init?(_ text: String) {
    // Of link-local addresses the interface is said, too.
    let address = String(text.prefix { $0 != "%" })
    var four = in_addr()
    if inet_pton(AF_INET, address, &four) == 1 {
      self.init(version4: UInt32(bigEndian: four.s_addr))
      return
    }
    var six = in6_addr()
    guard inet_pton(AF_INET6, address, &six) == 1 else { return nil }
    let (high, low) = withUnsafeBytes(of: &six) { bytes in
      (Bytes(bytes).load(UInt64.self, at: 0), Bytes(bytes).load(UInt64.self, at: 8))
    }
    if high == 0, low >> 32 == 0xFFFF {
      self.init(version4: UInt32(truncatingIfNeeded: low))
    } else {
      self.init(high: high, low: low)
    }
  }
}

// Interfaces of the kernel's, for those who name one instead of learning DPDK: which there are, and what the kernel does to
// their packets before anybody sees them.
import CSockets
import Glibc

/// An interface to watch.
struct KernelInterface: Equatable, Sendable {
  /// Its name.
  let name: String
  /// Its packets are taken from the kernel (AF_XDP), not only looked at (AF_PACKET).
  let takesPackets: Bool

  /// The interfaces of the words after `-i`: names, `any`, and `af_xdp:NAME`.
  ///
  /// - Returns: the interfaces, and what to say of those that `any` leaves out.
  /// - Throws: a name that no interface has, with those there are, or one that EAL does not understand (usage).
  static func named(_ words: [String]) throws(Failure) -> (found: [KernelInterface], leftOut: [String]) {
    let names = SystemFiles.names(in: folder).sorted()
    var found: [KernelInterface] = []
    var leftOut: [String] = []
    for word in words {
      let takesPackets = word.hasPrefix(xdp)
      let name = takesPackets ? String(word.dropFirst(xdp.count)) : word
      if name == "any", !takesPackets {
        let up = names.filter(isWatchable)
        let active = up.filter { !hasSeparators($0) }
        leftOut += up.filter(hasSeparators).map { "-i any: '\($0)' is left out: \(separatorTrouble)" }
        guard !active.isEmpty else {
          throw .usage(leftOut.first ?? "-i any: no interface but the loopback is up")
        }
        found += active.map { KernelInterface(name: $0, takesPackets: false) }
      } else if names.contains(name) {
        guard !hasSeparators(name) else { throw .usage("-i \(word): \(separatorTrouble)") }
        found.append(KernelInterface(name: name, takesPackets: takesPackets))
      } else {
        throw .usage(
          "-i \(word): there is no interface '\(name)'; there are \(names.joined(separator: ", ")), and any")
      }
    }
    var seen: Set<String> = []
    found = found.filter { seen.insert($0.name).inserted }
    if let first = found.first(where: \.takesPackets), let reason = reasonAgainstXDP {
      throw .usage("-i \(xdp)\(first.name): \(reason): give -i \(first.name)")
    }
    return (found, leftOut)
  }

  /// Whether the name has what separates the arguments of EAL's devices, or holds some of them together. It knows no quotes.
  static func hasSeparators(_ name: String) -> Bool { name.contains { ",[]".contains($0) } }

  private static let separatorTrouble =
    "EAL takes a comma and brackets in a name for its own: rename it (ip link set dev NAME name OTHER)"

  private static let folder = "/sys/class/net"
  private static let xdp = "af_xdp:"

  /// Whether an interface is up and not the loopback (IFF_UP, IFF_LOOPBACK in linux/if.h).
  private static func isWatchable(_ name: String) -> Bool {
    let flags = UInt32(SystemFiles.text("\(folder)/\(name)/flags").dropFirst(2), radix: 16) ?? 0
    return flags & 1 != 0 && flags & 8 == 0
  }

  /// Why packets cannot be taken from the kernel here; nil where they can.
  private static var reasonAgainstXDP: String? {
    martlet_has_xdp() != 0 ? nil : "this kernel has no AF_XDP"
  }

  /// How many receive queues its device has, at least one.
  var queues: Int {
    max(1, SystemFiles.names(in: "\(Self.folder)/\(name)/queues").count { $0.hasPrefix("rx-") })
  }

  /// What to say of an interface where the kernel makes large packets of several, or has the device cut them; nil where it
  /// does neither.
  var offloadWarning: String? {
    let found = martlet_offloads(name)
    let names = [
      (MARTLET_GRO, "gro"), (MARTLET_LRO, "lro"), (MARTLET_GSO, "gso"), (MARTLET_TSO, "tso"),
    ].filter { found & UInt32($0.0) != 0 }.map(\.1)
    guard !names.isEmpty else { return nil }
    let list = names.map { $0.uppercased() }.joined(separator: ", ")
    return
      "\(name) has \(list) on, so packets are joined before they are seen and counted as one, cut to 2 KB: "
      + "ethtool -K \(name) \(names.map { "\($0) off" }.joined(separator: " "))"
  }
}

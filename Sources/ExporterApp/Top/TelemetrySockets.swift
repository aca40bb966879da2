// Where the telemetry sockets of this machine's DPDK programs are, which depends on who started them.
import Glibc

/// The telemetry sockets of running programs.
enum TelemetrySockets {
  /// The name of a socket in a program's run-time directory.
  private static let name = "dpdk_telemetry.v2"
  /// EAL's prefix where no `--file-prefix` is given.
  static let usualPrefix = "rte"

  /// The directories that hold one for each file prefix: root's; a service's, in the directory that systemd made for it; a
  /// user's.
  static func roots(environment: (String) -> String? = { name in getenv(name).map { String(cString: $0) } })
    -> [String]
  {
    let services = SystemFiles.names(in: "/run").filter { $0.hasPrefix("martlet") }.map { "/run/\($0)" }
    // Several instances of a service may share one.
    let instances = services.flatMap { service in SystemFiles.names(in: service).map { "\(service)/\($0)" } }
    let owners = (services + instances).sorted().map { "\($0)/dpdk" }
    let named = ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"].compactMap(environment).map { "\($0)/dpdk" }
    return ["/run/dpdk"] + owners + named + ["/tmp/dpdk"]
  }

  /// The socket to ask.
  ///
  /// - Parameters:
  ///   - prefix: the program's `--file-prefix`; nil for whichever runs, of several the one without a prefix.
  ///   - roots: as the function of that name gives them.
  /// - Throws: there is none, or several from which one has to be chosen.
  static func find(prefix: String?, roots: [String]) throws(Failure) -> String {
    var found: [(prefix: String, path: String)] = []
    for root in roots {
      for candidate in SystemFiles.names(in: root).sorted() where prefix == nil || candidate == prefix {
        let path = "\(root)/\(candidate)/\(name)"
        if isAlive(path), !found.contains(where: { $0.path == path }) { found.append((candidate, path)) }
      }
    }
    if found.count > 1, let usual = found.first(where: { $0.prefix == usualPrefix }) { return usual.path }
    guard let first = found.first else {
      throw .general(
        prefix.map { "no martlet runs with --file-prefix \($0), or it belongs to somebody else" }
          ?? "no martlet runs live on this machine, or it belongs to somebody else: start one, or become root"
      )
    }
    guard found.count == 1 else {
      let prefixes = found.map(\.prefix).joined(separator: ", ")
      throw .general("several DPDK programs run here: choose one with --file-prefix (\(prefixes))")
    }
    return first.path
  }

  /// Whether somebody listens: killed programs leave their sockets.
  private static func isAlive(_ path: String) -> Bool {
    let descriptor = UnixSocket.connect(path, as: SOCK_SEQPACKET)
    // Who may not ask shall be told so.
    guard descriptor >= 0 else { return errno == EACCES }
    close(descriptor)
    return true
  }
}

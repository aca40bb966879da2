// Where the telemetry sockets of this machine's DPDK programs are, which depends on who started them. Anybody can make a folder
// under /tmp and answer there: only who could be asked to run martlet is believed.
import Glibc

/// The telemetry sockets of running programs.
enum TelemetrySockets {
  /// The name of a socket in a program's run-time directory.
  private static let name = "dpdk_telemetry.v2"
  /// How the names of the service's folders in /run begin.
  private static let service = "martlet"
  /// EAL's prefix where no `--file-prefix` is given.
  static let usualPrefix = "rte"

  /// The directories that hold one for each file prefix: root's; a service's, in the directory that systemd made for it; a
  /// user's.
  static func roots(environment: (String) -> String? = { name in getenv(name).map { String(cString: $0) } })
    -> [String]
  {
    let services = SystemFiles.names(in: "/run").filter { $0.hasPrefix(service) }.map { "/run/\($0)" }
    // Several instances of a service may share one.
    let instances = services.flatMap { service in SystemFiles.names(in: service).map { "\(service)/\($0)" } }
    let owners = (services + instances).sorted().map { "\($0)/dpdk" }
    let named = ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"].compactMap(environment).map { "\($0)/dpdk" }
    return ["/run/dpdk"] + owners + named + ["/tmp/dpdk"]
  }

  /// What `find` found.
  struct Finding: Equatable {
    /// The socket to ask.
    var path: String
    /// Why others are not asked, a line each.
    var leftOut: [String]
  }

  /// The socket to ask.
  ///
  /// - Parameters:
  ///   - prefix: the program's `--file-prefix`; nil for whichever runs, of several the one without a prefix.
  ///   - roots: as the function of that name gives them.
  /// - Throws: there is none, or several from which one has to be chosen.
  static func find(prefix: String?, roots: [String]) throws(Failure) -> Finding {
    var found: [(prefix: String, path: String)] = []
    var leftOut: [String] = []
    for root in roots {
      let names = SystemFiles.names(in: root).sorted().filter { prefix == nil || $0 == prefix }
      guard !names.isEmpty else { continue }
      let owners = [0, geteuid(), serviceOwner(root)].compactMap { $0 }
      if let reason = doubt(root, owners) {
        leftOut.append("\(root) is left out: \(reason)")
        continue
      }
      for candidate in names {
        let folder = "\(root)/\(candidate)"
        let path = "\(folder)/\(name)"
        guard !found.contains(where: { $0.path == path }), isAlive(path) else { continue }
        if let reason = doubt(folder, owners) ?? doubt(path, owners, isFolder: false) {
          leftOut.append("\(folder) is left out: \(reason)")
        } else {
          found.append((candidate, path))
        }
      }
    }
    let path: String
    do { path = try choose(found, prefix: prefix) } catch {
      guard !leftOut.isEmpty else { throw error }
      throw .general("\(error.description) (\(leftOut.joined(separator: "; ")))")
    }
    return Finding(path: path, leftOut: leftOut)
  }

  /// The one to ask of several.
  private static func choose(_ found: [(prefix: String, path: String)], prefix: String?) throws(Failure)
    -> String
  {
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

  /// Why a folder, or a socket in one, is not to be believed; nil where one of `owners` made it, and nobody else can change it.
  private static func doubt(_ path: String, _ owners: [uid_t], isFolder: Bool = true) -> String? {
    var status = stat()
    // Links are anybody's, wherever they lead.
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == (isFolder ? S_IFDIR : S_IFSOCK) else {
      return isFolder ? "it is no folder" : "its socket is none"
    }
    guard owners.contains(status.st_uid) else {
      return "it belongs to user \(status.st_uid): give --socket where you trust that one"
    }
    // Who may write to a socket may ask there, and that is all.
    if isFolder, status.st_mode & (S_IWGRP | S_IWOTH) != 0 { return "others may write there" }
    return nil
  }

  /// The user for whom a folder right below /run was made, where only root makes any; nil elsewhere.
  private static func serviceOwner(_ root: String) -> uid_t? {
    let parts = root.split(separator: "/", maxSplits: 2)
    guard parts.count == 3, parts[0] == "run", parts[1].hasPrefix(service), doubt("/run", [0]) == nil else {
      return nil
    }
    var status = stat()
    return lstat("/run/\(parts[1])", &status) == 0 && status.st_mode & S_IFMT == S_IFDIR ? status.st_uid : nil
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

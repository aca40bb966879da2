// How a process that started as root goes on when its devices, files and connections are open: as somebody else, without a
// way back, and with no more system calls than it needs.
import CSeccomp
import Glibc

/// What `--user` and `--seccomp` ask for.
struct Privileges {
  private let account: UserAccount?
  private let filtersCalls: Bool

  /// Looks whether it can be done. To be called before threads start, since they inherit that no program gives them
  /// privileges again.
  ///
  /// - Parameter startsPrograms: whether a plugin starts a program, which the filter forbids.
  /// - Throws: a user that does not exist, a process that is not root, or a plugin that the filter would break (usage).
  init(_ configuration: RunConfiguration, startsPrograms: Bool) throws(Failure) {
    if let name = configuration.user { account = try UserAccount(name) } else { account = nil }
    filtersCalls = (configuration.systemCalls ?? (account == nil ? .off : .on)) == .on
    if let account, geteuid() != 0 {
      throw .usage(
        "--user \(account.name): only root can go on as somebody else: start it as root, or leave --user out")
    }
    if filtersCalls, startsPrograms {
      throw .usage(
        "plugin osquery starts a program, which the filter of system calls forbids: add --seccomp off, or leave the plugin out"
      )
    }
    guard account != nil || filtersCalls else { return }
    let code = martlet_no_new_privileges()
    guard code == 0 else { throw .general("cannot give up new privileges: \(errorText(code))") }
    if let account { FileOwner.set(user: account.user, group: account.group) }
  }

  /// All is open: from here on the process, with all of its threads, is the user, and the filter holds.
  ///
  /// - Throws: what the system refuses; the process must not go on then.
  func drop() throws(Failure) {
    if let account {
      try become(account)
      FileOwner.clear()
    }
    if filtersCalls { try SystemCallFilter.load() }
    if account != nil || filtersCalls { logger.info("\(description)") }
  }

  /// Says where the process, being the user now, may not make files, which it would have to when it opens them again.
  ///
  /// - Parameter folders: what each is for, and its path.
  func warn(_ folders: [(purpose: String, path: String)]) {
    guard let account else { return }
    for (purpose, path) in folders where access(path, W_OK | X_OK) != 0 {
      logger.warning(
        """
        \(purpose): user \(account.name) may not make files in \(path), so that none can be opened again or follow: \
        give it the folder (chown \(account.name) \(path))
        """)
    }
  }

  /// One line on how the process goes on.
  private var description: String {
    let user = account.map { "goes on as \($0.name) (user \($0.user), group \($0.group))" }
    let filter = filtersCalls ? "system calls are filtered (--list-system-calls)" : nil
    return [user, filter].compactMap { $0 }.joined(separator: ", ")
  }

  /// What VFIO pins later, when a port is set up anew, counts against a limit, from which root alone is free. The open
  /// devices themselves stay.
  private func lockMemoryWithoutLimit() {
    let kind = __rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue)
    var limit = rlimit(rlim_cur: .max, rlim_max: .max)
    // In a container root may not be allowed to have more than it was given.
    if setrlimit(kind, &limit) == 0 { return }
    guard getrlimit(kind, &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(kind, &limit)
  }

  /// Changes groups, group and user of all threads, which the C library sees to.
  private func become(_ account: UserAccount) throws(Failure) {
    lockMemoryWithoutLimit()
    var group = account.group
    let groups = account.hasOwnGroups ? initgroups(account.name, account.group) : setgroups(1, &group)
    guard groups == 0, setgid(account.group) == 0, setuid(account.user) == 0 else {
      throw .general("--user \(account.name): \(errorText(errno)): cannot go on as this user")
    }
    guard setuid(0) != 0, geteuid() == account.user, getegid() == account.group else {
      throw .general("--user \(account.name): the system lets the process be root again: it does not go on")
    }
  }
}

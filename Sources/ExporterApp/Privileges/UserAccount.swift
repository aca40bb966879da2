// Users and groups by name, looked up before anything else is done.
import Glibc

/// The user that `--user` names.
struct UserAccount: Equatable, Sendable {
  /// Its name, for messages.
  let name: String
  /// Its number; never root's.
  let user: uid_t
  /// The number of its group, or of the group that was named; never root's.
  let group: gid_t
  /// Whether the other groups of the user count, too.
  let hasOwnGroups: Bool

  /// Looks the names up.
  ///
  /// - Throws: a usage failure where there is no such user or group, or where it is root.
  init(_ wanted: UserName) throws(Failure) {
    guard let entry = getpwnam(wanted.user) else {
      throw .usage(
        "--user \(wanted.user): there is no such user: name another one, or make it "
          + "(adduser --system --group \(wanted.user))")
    }
    guard entry.pointee.pw_uid != 0 else {
      throw .usage("--user \(wanted.user): it has all that root has: name another user")
    }
    name = wanted.user
    user = entry.pointee.pw_uid
    hasOwnGroups = wanted.group == nil
    guard let groupName = wanted.group else {
      guard entry.pointee.pw_gid != 0 else {
        throw .usage(
          "--user \(wanted.user): its group has what root's files give to it: name another one, as \(wanted.user):GROUP"
        )
      }
      group = entry.pointee.pw_gid
      return
    }
    guard let found = getgrnam(groupName) else {
      throw .usage("--user \(wanted.user):\(groupName): there is no such group: name another one")
    }
    guard found.pointee.gr_gid != 0 else {
      throw .usage(
        "--user \(wanted.user):\(groupName): this group has what root's files give to it: name another one")
    }
    group = found.pointee.gr_gid
  }
}

// A process that starts as root and goes on as somebody else has to be able to open its files again: whoever makes one gives
// it to that user.
import Glibc
import Synchronization

/// Who gets what the process makes while it is still root.
enum FileOwner {
  /// The user's number in the upper half, the group's in the lower; all ones for nobody.
  private static let owner = Atomic<UInt64>(.max)

  /// From now on files are given to this user.
  static func set(user: uid_t, group: gid_t) {
    owner.store(UInt64(user) << 32 | UInt64(group), ordering: .relaxed)
  }

  /// The process is that user: what it makes is its own.
  static func clear() { owner.store(.max, ordering: .relaxed) }

  /// Gives an open file away if it is this process's: a regular file with one name, or a folder.
  static func give(_ descriptor: Int32) {
    let wanted = owner.load(ordering: .relaxed)
    var status = stat()
    guard wanted != .max, fstat(descriptor, &status) == 0, status.st_uid == geteuid() else { return }
    let kind = status.st_mode & S_IFMT
    guard kind == S_IFDIR || kind == S_IFREG && status.st_nlink == 1 else { return }
    // Where a file system knows no owners, reopening says what is wrong.
    _ = fchown(descriptor, uid_t(truncatingIfNeeded: wanted >> 32), gid_t(truncatingIfNeeded: wanted))
  }

  /// Gives a folder and the files in it away, as far as they are this process's.
  static func give(folder path: String) {
    guard owner.load(ordering: .relaxed) != .max else { return }
    for name in SystemFiles.names(in: path) { give(path: "\(path)/\(name)", O_NONBLOCK) }
    give(path: path, O_DIRECTORY)
  }

  /// Gives a file away by its name, which must be no link.
  static func give(path: String, _ flags: Int32 = O_NONBLOCK) {
    guard owner.load(ordering: .relaxed) != .max else { return }
    let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | flags)
    guard descriptor >= 0 else { return }
    give(descriptor)
    close(descriptor)
  }
}

// rte_eal_cleanup unmaps EAL's hugepage files but leaves them on the hugetlbfs, where they hold their pages until a
// program with the same file prefix starts. An exporter that ends gives its memory back, and touches nothing else.
import CSockets
import Glibc

/// The hugepage files of one EAL instance.
struct HugepageFiles {
  /// Directories that may hold them.
  let directories: [String]
  /// How their names begin.
  let prefix: String
  /// Those that were there before EAL started: somebody else's.
  private let foreign: Set<Item>

  private struct Item: Hashable {
    let path: String
    let number: UInt64
  }

  /// The files of the EAL that `arguments` will start, on the machine's `mounts` of hugetlbfs. Call it before the start.
  init(arguments: EALArguments, mounts: [String]) {
    directories = arguments.hugeDirectory.map { [$0] } ?? mounts
    prefix = (arguments.filePrefix ?? "rte") + "map_"
    foreign = Set(Self.items(directories, prefix))
  }

  /// Regular files that are named as EAL names its pages, a prefix and a number.
  private static func items(_ directories: [String], _ prefix: String) -> [Item] {
    directories.flatMap { directory in
      SystemFiles.names(in: directory).compactMap { name in
        let number = name.dropFirst(prefix.count)
        guard name.hasPrefix(prefix), !number.isEmpty, number.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
          return nil
        }
        var status = stat()
        let path = directory + "/" + name
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid() else {
          return nil
        }
        return Item(path: path, number: UInt64(status.st_ino))
      }
    }
  }

  /// Gives the files that came since `init` to the user as whom the process goes on, who could not give their pages back
  /// otherwise. The folder stays root's, and so does what else is in it.
  func giveAway() {
    for item in Self.items(directories, prefix) where !foreign.contains(item) {
      FileOwner.give(path: item.path)
    }
  }

  /// Removes the files that came since `init`, lie on a hugetlbfs and are used by no process any more: EAL locks those it
  /// uses.
  func remove() {
    for item in Self.items(directories, prefix) where !foreign.contains(item) {
      let descriptor = open(item.path, O_RDWR | O_NOFOLLOW | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      defer { close(descriptor) }
      var status = stat()
      guard martlet_is_hugetlbfs(descriptor) != 0, fstat(descriptor, &status) == 0,
        UInt64(status.st_ino) == item.number
      else { continue }
      guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { continue }
      // Who may not remove it from the folder, as somebody who was root, still can give its pages back.
      if unlink(item.path) != 0 { ftruncate(descriptor, 0) }
    }
  }
}

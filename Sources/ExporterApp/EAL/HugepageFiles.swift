// rte_eal_cleanup unmaps EAL's hugepage files but leaves them on the hugetlbfs, where they hold their pages until a
// program with the same file prefix starts. An exporter that ends gives its memory back.
import Glibc

/// The hugepage files of one EAL instance.
struct HugepageFiles {
  /// Directories that may hold them.
  let directories: [String]
  /// How their names begin.
  let prefix: String

  /// The files of the EAL that `arguments` started, on the machine's `mounts` of hugetlbfs.
  init(arguments: EALArguments, mounts: [String]) {
    directories = arguments.hugeDirectory.map { [$0] } ?? mounts
    prefix = (arguments.filePrefix ?? "rte") + "map_"
  }

  /// Removes the files that no process uses any more; EAL locks those it uses.
  func remove() {
    for directory in directories {
      for name in SystemFiles.names(in: directory) where name.hasPrefix(prefix) {
        let path = directory + "/" + name
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { continue }
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { unlink(path) }
        close(descriptor)
      }
    }
  }
}

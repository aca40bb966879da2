// rte_eal_cleanup leaves 1.7 MB of descriptions of its memory in the run-time directory, for each file prefix. They are of
// no use to anybody when the process has ended.
import CDPDK
import CSockets
import Glibc

/// The run-time directory of this process's EAL.
struct RuntimeFiles {
  private let directory: String

  /// EAL's directory as it is now: after its start, also one that failed. Nil where it has none.
  init?() {
    guard let path = rte_eal_get_runtime_dir() else { return nil }
    directory = String(cString: path)
    guard !directory.isEmpty else { return nil }
  }

  /// The files of `directory`, for tests.
  init(directory: String) { self.directory = directory }

  /// Names that EAL gives, or beginnings of such.
  private static let names = ["config", "hugepage_info", "mp_socket", "dpdk_telemetry.v2", "telemetry"]
  private static let beginnings = ["fbarray_", "dpdk_telemetry.v2:"]

  /// Removes EAL's files and the directory, unless another process has its configuration locked or is not ours.
  func remove() {
    // The lock of a primary process lies on this file. Another process that started meanwhile, or for which this one
    // made room by failing to start, holds it.
    let configuration = open(directory + "/config", O_RDWR | O_NOFOLLOW | O_CLOEXEC)
    guard configuration >= 0 else {
      // Without shared configuration (--no-shconf) there are no files of EAL's here, perhaps those of another process.
      rmdir(directory)
      return
    }
    defer { close(configuration) }
    if martlet_lock_whole(configuration) != 0 { return }
    for name in SystemFiles.names(in: directory) {
      guard Self.names.contains(name) || Self.beginnings.contains(where: { name.hasPrefix($0) }) else {
        continue
      }
      let path = directory + "/" + name
      var status = stat()
      guard lstat(path, &status) == 0, status.st_uid == geteuid() else { continue }
      unlink(path)
    }
    // Whatever else somebody put there stays, and the directory with it.
    rmdir(directory)
  }
}

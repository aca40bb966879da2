// EAL prints through three ways (rte_log, printf for its usage, getopt); file descriptors are what they share.
import Glibc

/// Keeps what is written to standard output and standard error during a call.
enum OutputCapture {
  /// Runs `body` with both descriptors going into a file that has no name, and returns what was written.
  ///
  /// For the single-threaded parts of start and end only. Where no such file can be made `body` runs anyway.
  static func during(_ body: () -> Void) -> String {
    fflush(nil)
    guard let file = tmpfile() else {
      body()
      return ""
    }
    defer { fclose(file) }
    let descriptor = fileno(file)
    let saved = (dup(STDOUT_FILENO), dup(STDERR_FILENO))
    // Without a way back nothing is captured.
    guard saved.0 >= 0, saved.1 >= 0 else {
      for descriptor in [saved.0, saved.1] where descriptor >= 0 { close(descriptor) }
      body()
      return ""
    }
    dup2(descriptor, STDOUT_FILENO)
    dup2(descriptor, STDERR_FILENO)
    body()
    fflush(nil)
    restore(saved.0, as: STDOUT_FILENO)
    restore(saved.1, as: STDERR_FILENO)
    return contents(of: descriptor)
  }

  /// Puts a saved descriptor back.
  private static func restore(_ saved: Int32, as descriptor: Int32) {
    dup2(saved, descriptor)
    close(saved)
  }

  private static func contents(of descriptor: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}

// Bytes into a file, a pipe or a terminal, all of them or a typed error.
import Glibc

/// A file that was opened for writing, or standard output.
final class FileOutput {
  /// Octets written.
  private(set) var bytesWritten: UInt64 = 0
  /// The name for messages.
  let path: String
  private let descriptor: Int32
  private let owns: Bool

  /// Creates or empties the file at `path`; nil is standard output.
  init(path: String?) throws(ExportError) {
    // A reader that goes away must give EPIPE, not end the process.
    signal(SIGPIPE, SIG_IGN)
    guard let path else {
      self.path = "standard output"
      descriptor = STDOUT_FILENO
      owns = false
      return
    }
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    owns = true
    guard descriptor >= 0 else { throw .cannotOpen(path: path, code: errno) }
  }

  /// Writes all bytes; waits for a slow reader.
  func write(_ bytes: UnsafeRawBufferPointer) throws(ExportError) {
    var offset = 0
    while offset < bytes.count {
      let count = Glibc.write(descriptor, bytes.baseAddress! + offset, bytes.count - offset)
      if count >= 0 {
        offset += count
        bytesWritten += UInt64(count)
        continue
      }
      switch errno {
      case EINTR: continue
      case EAGAIN:
        // Somebody made our standard output non-blocking: wait for it like any other.
        var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&waiting, 1, 1000)
      case EPIPE: throw .readerGone(path: path)
      default: throw .cannotWrite(path: path, code: errno)
      }
    }
  }

  /// Closes the file; some file systems report a full disk only here.
  func close() throws(ExportError) {
    guard owns else { return }
    guard Glibc.close(descriptor) == 0 || errno == EINTR else { throw .cannotWrite(path: path, code: errno) }
  }
}

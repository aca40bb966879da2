// Why an export stopped, in one line for the user.
import Glibc

/// A failure of an export.
enum ExportError: Error, Equatable, CustomStringConvertible {
  /// The file cannot be created; `code` is an errno.
  case cannotOpen(path: String, code: Int32)
  /// The path is a symbolic link that another user made.
  case foreignLink(path: String)
  /// The path names a file that another output or an input has.
  case sameFile(path: String)
  /// Writing failed; what was not written is lost and counted.
  case cannotWrite(path: String, code: Int32)
  /// The reader of a pipe went away.
  case readerGone(path: String)
  /// A library's client refused to start, for a reason in its own words.
  case cannotStart(name: String, reason: String)

  /// One line that names the file and the reason.
  var description: String {
    switch self {
    case .cannotOpen(let path, EBADF): "cannot write \(path): it was closed when the program started"
    case .cannotOpen(let path, EMFILE):
      "cannot create \(path): too few file descriptors are allowed; raise 'ulimit -n'"
    case .cannotOpen(let path, let code):
      "cannot create \(path): \(errorText(code)); choose a place you may write to"
    case .foreignLink(let path):
      "cannot create \(path): it is a symbolic link that another user made; name another file"
    case .sameFile(let path): "cannot create \(path): an input or another output is the same file"
    case .cannotWrite(let path, ENOSPC), .cannotWrite(let path, EDQUOT):
      "cannot write \(path): the disk is full; make room"
    case .cannotWrite(let path, EFBIG):
      "cannot write \(path): the file is as large as 'ulimit -f' or the file system allows; move it away and send SIGHUP"
    case .cannotWrite(let path, let code): "cannot write \(path): \(errorText(code))"
    case .readerGone(let path): "nobody reads \(path) any more"
    case .cannotStart(let name, let reason): "cannot export to \(name): \(reason)"
    }
  }
}

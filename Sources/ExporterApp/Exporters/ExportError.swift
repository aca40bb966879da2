// Why an export stopped, in one line for the user.
import Glibc

/// A failure of an export that retrying does not mend.
enum ExportError: Error, Equatable, CustomStringConvertible {
  /// The file cannot be created; `code` is an errno.
  case cannotOpen(path: String, code: Int32)
  /// Writing failed; what was not written is lost and counted.
  case cannotWrite(path: String, code: Int32)
  /// The reader of a pipe went away: no fault of ours, and the program should end quietly.
  case readerGone(path: String)

  /// One line that names the file and the reason.
  var description: String {
    switch self {
    case .cannotOpen(let path, let code):
      "cannot create \(path): \(Self.reason(code)); choose a place you may write to"
    case .cannotWrite(let path, ENOSPC), .cannotWrite(let path, EDQUOT):
      "cannot write \(path): the disk is full; make room and start again"
    case .cannotWrite(let path, let code): "cannot write \(path): \(Self.reason(code))"
    case .readerGone(let path): "nobody reads \(path) any more"
    }
  }

  /// The system's words for an errno.
  static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}

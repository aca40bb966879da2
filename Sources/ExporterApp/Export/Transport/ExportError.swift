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
  /// A directory for a spool cannot be made, or not written; `code` is an errno.
  case cannotSpool(path: String, code: Int32)
  /// Another program, or another output, has this directory for its spool.
  case spoolInUse(path: String)
  /// A certificate, a key or authorities that cannot be used; the text names file and reason.
  case credentials(String)
  /// A complete file cannot be given its name; `code` is an errno.
  case cannotName(path: String, temporary: String, code: Int32)
  /// Somebody deleted a file of a series before it was complete, or its folder.
  case deleted(path: String)
  /// The run ended before a file of a series was complete.
  case incomplete(path: String)
  /// The compressor has no memory.
  case cannotCompress(path: String)
  /// The reader of a pipe went away.
  case readerGone(path: String)
  /// A library's client refused to start, for a reason in its own words.
  case cannotStart(name: String, reason: String)

  /// Whether the disk is full.
  var isForLackOfRoom: Bool {
    switch self {
    case .cannotWrite(_, let code), .cannotOpen(_, let code), .cannotName(_, _, let code):
      [ENOSPC, EDQUOT, EFBIG].contains(code)
    default: false
    }
  }

  /// One line that names the file and the reason.
  var description: String {
    switch self {
    case .cannotOpen(let path, EBADF): "cannot write \(path): it was closed when the program started"
    case .cannotOpen(let path, EMFILE):
      "cannot create \(path): too few file descriptors are allowed; raise 'ulimit -n'"
    case .cannotOpen(let path, ENOSPC), .cannotOpen(let path, EDQUOT):
      "cannot create \(path): the disk is full; make room"
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
    case .cannotSpool(let path, let code):
      "cannot keep a spool in \(path): \(errorText(code)); give --spool a directory that you may write to"
    case .spoolInUse(let path):
      "cannot keep a spool in \(path): another Martlet, or another --export to the same collector, has it; give each its own"
    case .credentials(let text): text
    case .cannotName(let path, let temporary, let code):
      "cannot give a complete file the name \(path): \(errorText(code)); what is there of it is \(temporary)"
    case .deleted(let path): "a file of \(path) was deleted, or its folder, before it was complete"
    case .incomplete(let path): "the last file of \(path) did not become complete and keeps its hidden name"
    case .cannotCompress(let path): "cannot compress \(path): no memory; choose a lower level"
    case .readerGone(let path): "nobody reads \(path) any more"
    case .cannotStart(let name, let reason): "cannot export to \(name): \(reason)"
    }
  }
}

// A file, a FIFO, a Unix socket, a device or standard output as one thing that can be opened safely, cut and opened again.
import Glibc

/// An output's file. Used by one thread at a time: who makes it, then the writer's, which ends with `close`.
struct OutputFile {
  /// What is behind the name.
  enum Kind { case regular, pipe, device }

  /// The name for messages.
  let path: String
  /// What is behind the name.
  private(set) var kind: Kind
  /// -1 while a FIFO or a Unix socket has no reader.
  private(set) var descriptor: Int32
  /// What a file of a series is; nil for one that is written in its place.
  private(set) var series: FileSeries?
  /// Nothing was written to it yet: the heading is still to come.
  var isFresh = true
  private let isStandardOutput: Bool
  /// The Unix socket's name; nil for all else.
  private let socketPath: String?
  private let others: [FileIdentity]

  /// Creates or empties the file at `path`; nil is standard output. A FIFO, and a Unix socket (`unix:PATH`), are only opened by
  /// `openFIFO`.
  ///
  /// Files are made with mode 0640 less the umask. A symbolic link is followed only if root or this user made it.
  ///
  /// - Parameter others: files that must not be this one; looked at again here, because names can change meanwhile.
  init(path: String?, others: [FileIdentity] = []) throws(ExportError) {
    self.others = others
    socketPath = path.flatMap(UnixSocket.path)
    guard let path else {
      self.path = "standard output"
      isStandardOutput = true
      descriptor = STDOUT_FILENO
      guard !StandardDescriptors.wasClosed(STDOUT_FILENO) else {
        throw .cannotOpen(path: "standard output", code: EBADF)
      }
      kind = Self.kind(of: STDOUT_FILENO)
      return
    }
    self.path = path
    isStandardOutput = false
    descriptor = -1
    kind = .pipe
    guard socketPath == nil else { return }
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFIFO { return }
    try open(appending: false)
  }

  /// Creates the first file of a series.
  init(_ series: FileSeries) throws(ExportError) {
    path = series.pattern.path
    kind = .regular
    descriptor = -1
    isStandardOutput = false
    socketPath = nil
    others = []
    self.series = series
    try begin()
  }

  private static func kind(of descriptor: Int32) -> Kind {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return .device }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return .regular
    case S_IFIFO, S_IFSOCK: return .pipe
    default: return .device
    }
  }

  /// Opens the path, and empties it unless `appending`.
  private mutating func open(appending: Bool) throws(ExportError) {
    // O_NONBLOCK: should a FIFO have taken the place meanwhile, nothing hangs. O_APPEND: whoever truncates the file
    // (logrotate's copytruncate) finds the next line at its new end.
    let flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_APPEND
    var opened = Glibc.open(path, flags | O_NOFOLLOW, 0o640)
    // In sticky directories the kernel itself refuses others' links, with EACCES (fs.protected_symlinks).
    let code = errno
    var link = stat()
    if opened < 0, code == ELOOP || code == EACCES, lstat(path, &link) == 0, link.st_mode & S_IFMT == S_IFLNK
    {
      guard link.st_uid == 0 || link.st_uid == geteuid() else { throw .foreignLink(path: path) }
      opened = Glibc.open(path, flags, 0o640)
      guard opened >= 0 else { throw .cannotOpen(path: path, code: errno) }
    }
    guard opened >= 0 else { throw .cannotOpen(path: path, code: code) }
    if let identity = FileIdentity(descriptor: opened), others.contains(identity) {
      Glibc.close(opened)
      throw .sameFile(path: path)
    }
    let kind = Self.kind(of: opened)
    if kind == .regular, !appending, ftruncate(opened, 0) != 0 {
      let code = errno
      Glibc.close(opened)
      throw .cannotOpen(path: path, code: code)
    }
    FileOwner.give(opened)
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = opened
    self.kind = kind
    isFresh = kind != .regular || size == 0
  }

  /// Opens a FIFO or a Unix socket if somebody reads it; false while nobody does.
  mutating func openFIFO() -> Bool {
    let opened =
      socketPath.map(UnixSocket.connect) ?? Glibc.open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK)
    guard opened >= 0 else { return false }
    descriptor = opened
    isFresh = true
    return true
  }

  /// The reader of a FIFO or a Unix socket left: the next one gets a new beginning.
  mutating func closeFIFO() {
    guard !isStandardOutput, descriptor >= 0 else { return }
    Glibc.close(descriptor)
    descriptor = -1
    isFresh = true
  }

  /// Opens the path anew. Where it is still the same file, it goes on at its end; other files that have something are
  /// appended to, too. Standard output, pipes and devices stay as they are.
  mutating func reopen() throws(ExportError) {
    guard !isStandardOutput, kind == .regular else { return }
    let wasFresh = isFresh
    let before = FileIdentity(descriptor: descriptor)
    try open(appending: true)
    if FileIdentity(descriptor: descriptor) == before { isFresh = wasFresh }
  }

  /// Octets in the file.
  var size: Int {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
  }

  /// Takes the last `count` octets off a regular file; false where that is not possible.
  func cut(_ count: Int) -> Bool {
    guard kind == .regular, count > 0 else { return count <= 0 }
    let size = size
    return size >= count && ftruncate(descriptor, off_t(size &- count)) == 0
  }

  /// Closes the file; some file systems report a full disk only here.
  mutating func close() throws(ExportError) {
    guard !isStandardOutput, descriptor >= 0 else { return }
    let code = Glibc.close(descriptor) == 0 || errno == EINTR ? 0 : errno
    descriptor = -1
    guard code == 0 else { throw .cannotWrite(path: path, code: code) }
  }

  /// Whether the end of this output's reader is nobody's loss: `martlet … | head`.
  var mayLoseReader: Bool { isStandardOutput }
}

// A file of a series.
extension OutputFile {
  /// Begins the next file, after `publish` or `abandon`.
  mutating func begin() throws(ExportError) {
    guard descriptor < 0, let opened = try series?.begin(now: Clock.system()) else { return }
    descriptor = opened
    isFresh = true
  }

  /// Whether the time of the open file is over.
  var isOver: Bool { descriptor >= 0 && series?.isOver(now: Clock.system()) ?? false }

  /// When it is over, in nanoseconds since 1970; nil for never.
  var end: UInt64? { descriptor >= 0 ? series?.end : nil }

  /// Whether somebody deleted the file before it was complete.
  var isDeleted: Bool {
    guard series != nil else { return false }
    var status = stat()
    return fstat(descriptor, &status) == 0 && status.st_nlink == 0
  }

  /// Closes the complete file, if that was not done, and gives it its name. May be tried again after an error.
  mutating func publish() throws(ExportError) {
    try close()
    try series?.publish()
  }

  /// Closes the file and leaves it under its temporary name.
  mutating func abandon() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }
}

/// Which file it is, whatever its name.
struct FileIdentity: Hashable, Sendable {
  private let device: UInt64
  private let number: UInt64

  private init?(_ status: stat) {
    // Devices may be shared: /dev/null, terminals.
    let type = status.st_mode & S_IFMT
    guard type == S_IFREG || type == S_IFIFO else { return nil }
    device = UInt64(status.st_dev)
    number = UInt64(status.st_ino)
  }

  /// The file behind a descriptor, nil for devices and sockets.
  init?(descriptor: Int32) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return nil }
    self.init(status)
  }

  /// The file behind a name, links followed; nil where there is none, and for devices.
  init?(path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(status)
  }
}

// What a run reads: files by their names, or one capture in memory.
import Captures
import Glibc

/// The captures of a run, in order.
enum CaptureList: Sendable {
  case files([String])
  case octets([UInt8], name: String)

  var names: [String] {
    switch self {
    case .files(let paths): paths
    case .octets(_, let name): [name]
    }
  }

  /// The octets of each, 0 where nobody knows.
  var lengths: [UInt64] {
    switch self {
    case .files(let paths):
      paths.map { path in
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return 0 }
        return UInt64(clamping: status.st_size)
      }
    case .octets(let octets, _): [UInt64(octets.count)]
    }
  }

  /// Whether one of them has to be waited for.
  var hasPipes: Bool {
    if case .files(let paths) = self { paths.contains { Capture.isPipe($0) } } else { false }
  }

  /// Opens a capture and hands it to `body`, which must not keep it; pipes are not waited for when `stop` is readable.
  ///
  /// - Throws: it cannot be read, or what `body` throws.
  func open(_ place: Int, stop: CInt?, _ body: (borrowing Capture) throws(Failure) -> Void) throws(Failure) {
    switch self {
    case .files(let paths): try body(Capture(paths[place], stop: stop))
    case .octets(let octets, let name):
      var failure: Failure?
      octets.withUnsafeBytes { octets in
        do throws(Failure) { try body(Capture(octets: octets, name: name)) } catch { failure = error }
      }
      if let failure { throw failure }
    }
  }

  /// Looks whether at least one of them can be read; pipes and standard input are believed.
  ///
  /// - Throws: the last one's trouble, where there is none.
  func check(filter: String?) throws(Failure) {
    var last: Failure?
    for (place, name) in names.enumerated() {
      if case .files = self, Capture.isPipe(name) { return }
      do {
        try open(place, stop: nil) { (capture) throws(Failure) in
          if let filter { _ = try capture.compile(filter) }
        }
        return
      } catch {
        last = error
      }
    }
    if let last { throw last }
  }
}

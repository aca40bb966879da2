// Reading sysfs and procfs: small files, directories and links.
import FlowCore
import Glibc

/// The kernel's files, read without complaints: what is not there is empty.
enum SystemFiles {
  /// The names in a directory: those that begin with a dot, or all others.
  static func names(in path: String, hidden: Bool = false) -> [String] {
    guard let handle = opendir(path) else { return [] }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      // Safe: the member is an array of 256 CChar, and readdir ends what it puts there with NUL.
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasPrefix(".") == hidden { names.append(name) }
    }
    return names
  }

  /// A small file's number; 0 where there is none.
  static func number(_ path: String) -> Int { Int(text(path)) ?? 0 }

  /// A small file's text without the newline at its end; "" where it cannot be read.
  static func text(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    guard var bytes = try? OrdinaryFile.contents(of: descriptor) else { return "" }
    if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The path without links, "." and ".."; where its last component does not exist, its directory's with it behind.
  static func canonical(_ path: String) -> String {
    if let whole = realpath(path, nil) {
      defer { Glibc.free(whole) }
      return String(cString: whole)
    }
    let slash = path.lastIndex(of: "/")
    let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
    // A link to what does not exist yet is that file.
    if let target = target(of: path), target != path {
      return canonical(target.hasPrefix("/") ? target : directory + "/" + target)
    }
    guard let parent = realpath(directory, nil) else { return path }
    defer { Glibc.free(parent) }
    return String(cString: parent) + "/" + name
  }

  /// What a symbolic link names; nil for other files.
  static func target(of path: String) -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = bytes.withUnsafeMutableBytes { buffer in
      buffer.baseAddress.map { readlink(path, $0, buffer.count) } ?? -1
    }
    return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
  }

  /// Whether the path is a device, which several may use; nil is standard output, which only one may.
  static func isDevice(_ path: String?) -> Bool { path.flatMap(kind) == S_IFCHR }

  /// Whether the path is a FIFO.
  static func isFIFO(_ path: String) -> Bool { kind(path) == S_IFIFO }

  /// What is at the path, as `stat` tells it; nil for nothing.
  private static func kind(_ path: String) -> mode_t? {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
  }

  /// What is at the path, in words, where that is no regular file; nil where it is one, or where there is nothing.
  static func kindOfNoFile(_ path: String) -> String? {
    var status = stat()
    return stat(path, &status) == 0 ? OrdinaryFile.kindOfOther(status.st_mode) : nil
  }

  /// The last component of what a symbolic link names.
  static func linkTarget(_ path: String) -> String? {
    target(of: path)?.split(separator: "/").last.map(String.init)
  }
}

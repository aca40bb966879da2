// A folder for a test's files.
import Foundation

/// A new folder in /tmp that goes with everything in it.
final class TemporaryFolder {
  let path = "/tmp/martlet-files-\(UUID().uuidString)"

  init() throws { try make() }
  deinit { remove() }

  func make() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }
  func remove() { try? FileManager.default.removeItem(atPath: path) }

  /// The names in it in the order of the numbers they have, those without one first; hidden ones, or the others.
  func names(hidden: Bool = false) -> [String] {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return all.filter { $0.hasPrefix(".") == hidden }.sorted { Self.number($0) < Self.number($1) }
  }

  private static func number(_ name: String) -> Int {
    name.split(separator: ".").compactMap { Int($0) }.first ?? 0
  }

  /// The octets of a file.
  func contents(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")))
  }

  /// The lines of a file.
  func lines(_ name: String) throws -> [String] {
    String(decoding: try contents(name), as: UTF8.self).split(separator: "\n").map(String.init)
  }
}

// What EAL leaves behind is removed, and nothing else.
import Foundation
import Testing

@testable import ExporterApp

@Suite struct EALFilesTests {
  private func directory(_ names: [String]) throws -> String {
    let path = "/tmp/martlet-eal-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for name in names { _ = FileManager.default.createFile(atPath: path + "/" + name, contents: Data()) }
    return path
  }

  @Test("files that only look like hugepages stay: older ones, other names, other file systems")
  func hugepages() throws {
    let path = try directory(["roadmap_1", "roadmap_2025.txt"])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let arguments = EALArguments(["--huge-dir", path, "--file-prefix", "road"])
    let files = HugepageFiles(arguments: arguments, mounts: [])
    _ = FileManager.default.createFile(atPath: path + "/roadmap_2", contents: Data())
    files.remove()
    #expect(
      SystemFiles.names(in: path).sorted() == ["roadmap_1", "roadmap_2", "roadmap_2025.txt"])
  }

  @Test("EAL's run-time files go, with their directory unless somebody put something there")
  func runtime() throws {
    let names = [
      "config", "hugepage_info", "fbarray_memzone", "fbarray_memseg-2048k-0-0", "mp_socket",
      "dpdk_telemetry.v2",
    ]
    let path = try directory(names + ["notes.txt"])
    defer { try? FileManager.default.removeItem(atPath: path) }
    RuntimeFiles(directory: path).remove()
    #expect(SystemFiles.names(in: path) == ["notes.txt"])
    let empty = try directory(names)
    RuntimeFiles(directory: empty).remove()
    #expect(!FileManager.default.fileExists(atPath: empty))
  }
}

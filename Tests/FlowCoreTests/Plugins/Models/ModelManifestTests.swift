// Manifests of models: what is read, and what is refused.
import Testing

@testable import FlowCore

@Suite("manifests of models")
struct ModelManifestTests {
  private func manifest(_ changes: [String: String] = [:]) throws -> ModelManifest {
    var members = [
      "format": "\"martlet-model\"", "formatVersion": "1", "interface": "1", "name": "\"n\"",
      "version": "\"2\"",
      "classes": "[\"x\", \"y\"]", "features": "[\"a\", \"b[1]\"]", "missing": "null",
      "rounding": "\"float32\"",
      "outputs": "2", "sha256": "\"\(String(repeating: "0", count: 64))\"",
    ]
    members.merge(changes) { $1 }
    let text = members.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ",")
    return try ModelManifest(Array("{\(text)}".utf8))
  }

  @Test func isRead() throws {
    let read = try manifest(["other": "{\"deep\": [1, true, {}]}", "missing": "-1.5"])
    #expect(
      read.name == "n" && read.version == "2" && read.classes == ["x", "y"] && read.features == ["a", "b[1]"])
    #expect(read.missing == -1.5 && read.roundsToFloat && read.outputs == 2 && read.interface == 1)
    #expect(try manifest().missing.isNaN)
    #expect(try manifest() == manifest())
    #expect(try manifest(["outputs": "1"]).outputs == 1)
  }

  @Test(arguments: [
    ("format", "\"other\""), ("format", "3"), ("formatVersion", "2"), ("formatVersion", "-1"),
    ("formatVersion", "1e400"),
    ("name", "\"\""), ("name", "\"a\\u0007\""), ("classes", "[\"x\", \"x\"]"), ("classes", "[]"),
    ("classes", "[1]"),
    ("features", "[]"), ("missing", "1e999"), ("missing", "\"0\""), ("rounding", "\"float16\""),
    ("outputs", "3"),
    ("sha256", "\"00\""), ("other", "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]"), ("other", "}"),
  ])
  func isRefused(member: String, value: String) {
    #expect(throws: ModelError.self) { try manifest([member: value]) }
  }
}

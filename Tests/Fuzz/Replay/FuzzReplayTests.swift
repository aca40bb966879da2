// What the fuzzer found, again: each file of `regressions` through its target.
import Foundation
import FuzzTargets
import Testing

@Suite struct FuzzReplayTests {
  @Test("inputs that broke a target do not any more", arguments: FuzzTarget.allCases)
  func regressions(target: FuzzTarget) throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../regressions/\(target.rawValue)").standardized.path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    for name in names.sorted() {
      let input = try #require(FileManager.default.contents(atPath: "\(folder)/\(name)"))
      let problem = input.withUnsafeBytes { target.run($0) }
      #expect(problem == nil, "\(target.rawValue)/\(name)")
    }
  }

  @Test("any target takes an empty input and one of zeros", arguments: FuzzTarget.allCases)
  func nothing(target: FuzzTarget) {
    for count in [0, 1, 300] {
      let problem = [UInt8](repeating: 0, count: count).withUnsafeBytes { target.run($0) }
      #expect(problem == nil)
    }
  }
}

// ipfixprobe's expected records, and how a run is held against them: every expected line must be met by a record of its own
// on all its fields.
import Foundation
import IPFIXDecoding

/// Expected records of one functional test of the corpus.
struct ExpectedRecords {
  private var lines: [Record] = []
  private var corrected: [Record] = []

  init?(_ name: String) {
    guard let directory = Corpus.directory else { return nil }
    func read(_ kind: String) -> [Record]? {
      guard
        let text = try? String(
          contentsOfFile: "\(directory)/functional/\(name).\(kind).jsonl", encoding: .utf8)
      else { return nil }
      return text.split(separator: "\n").compactMap {
        (try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])?.mapValues(
          ExpectedRecords.value)
      }
    }
    guard let lines = read("expected") else { return nil }
    self.lines = lines
    corrected = read("corrected") ?? lines
  }

  private static func value(_ any: Any) -> FieldValue {
    switch any {
    case let list as [Any]: .list(list.map(value))
    case let number as NSNumber: .number(number.doubleValue)
    default: .text("\(any)")
    }
  }

  /// Whole numbers are compared exactly, unless the element's values are floating-point ones.
  private static func same(_ key: String, _ one: FieldValue, _ other: FieldValue?) -> Bool {
    switch (one, other) {
    case (.number(let one), .number(let other)):
      let isExact = one == one.rounded() && !key.hasPrefix("cesnet:nts")
      return abs(one - other) <= (isExact ? 0 : max(1e-3, 1e-3 * max(abs(one), abs(other))))
    case (.list(let one), .list(let other)):
      return one.count == other.count
        && zip(one, other).allSatisfy { same(key, $0, $1) }
    default: return one == other
    }
  }

  /// What is not met by `records`, a line for each expected record; `ignoring` names fields that are not compared.
  func unmet(by records: [Record], ignoring: Set<String> = []) -> [String] {
    var unused = records
    var complaints: [String] = []
    for (line, correction) in zip(lines, corrected) {
      func differences(_ record: Record) -> [String] {
        line.keys.filter { key in
          !ignoring.contains(key) && !ExpectedRecords.same(key, line[key]!, record[key])
            && !ExpectedRecords.same(key, correction[key]!, record[key])
        }
      }
      if let index = unused.firstIndex(where: { differences($0).isEmpty }) {
        unused.remove(at: index)
      } else {
        let nearest = unused.min { differences($0).count < differences($1).count } ?? [:]
        complaints.append(
          differences(nearest).sorted().map {
            "\($0): expected \(line[$0]!), got \(nearest[$0].map { "\($0)" } ?? "nothing")"
          }
          .joined(separator: "; "))
      }
    }
    return complaints
  }
}

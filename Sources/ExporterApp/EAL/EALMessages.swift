// What EAL, its argument parser and its bus of virtual devices print when something is wrong, by release of DPDK: the texts
// are those of its sources, and a release that words something else gets an entry of its own.
import CDPDK

/// A release of DPDK, as 22.11.
struct DPDKRelease: Comparable, Sendable {
  var year: UInt32
  var month: UInt32

  /// The release that this program runs with.
  static var current: DPDKRelease { DPDKRelease(String(cString: rte_version())) }

  /// The release in "DPDK 22.11.11", or 0.0.
  init(_ text: String) {
    let numbers = text.split { !$0.isNumber }.map { UInt32($0) ?? 0 }
    self.init(year: numbers.first ?? 0, month: numbers.count > 1 ? numbers[1] : 0)
  }

  init(year: UInt32, month: UInt32) {
    self.year = year
    self.month = month
  }

  static func < (left: DPDKRelease, right: DPDKRelease) -> Bool {
    (left.year, left.month) < (right.year, right.month)
  }
}

/// What a line of the log means.
enum EALTrouble: Sendable {
  /// There is no CPU for an lcore; its number is the text.
  case lcoreUnavailable
  /// The list of lcores cannot be read.
  case lcoreListUnreadable
  /// An option that EAL does not have; the text is its name with hyphens.
  case optionUnknown
  /// As `optionUnknown`; the text is one letter.
  case letterUnknown
  /// An option without its value; the text is its name with hyphens.
  case valueMissing
  /// As `valueMissing`; the text is one letter.
  case valueOfLetterMissing
  /// One list of lcores after another.
  case lcoresGivenTwice
  /// Options that contradict each other, or a value that cannot be.
  case optionsRefused
  /// No hugepage is to be had.
  case noHugepages
  /// Hugepages are reserved, but there is no file system for them.
  case hugetlbfsNotMounted
  /// Some memory is not to be had.
  case memoryShort
  /// Another process has the same file prefix.
  case prefixTaken
  /// The kernel refuses a file.
  case permissionDenied
  /// The kernel refuses a call.
  case notPermitted
  /// No driver has a virtual device of that name, which is the text.
  case driverUnknown
  /// A driver could not start its virtual device, whose name is the text; the reason is in the line before.
  case deviceFailed
}

/// A line as some releases print it.
struct EALMessage: Sendable {
  /// What it means.
  let trouble: EALTrouble
  /// The first release that prints it.
  let first: DPDKRelease
  /// The last one, nil where the newest known one (26.07) still does.
  let last: DPDKRelease?
  /// The whole line without its prefix: `{}` stands for the text that is wanted, `…` for what is not.
  let pattern: String

  /// Whether this release prints it; what is newer than all that are known is taken for the newest.
  func isPrinted(by release: DPDKRelease) -> Bool {
    release >= first && last.map { release <= $0 } ?? true
  }

  /// What stands in the place of `{}` in a line of this form, "" where the form has none; nil for other lines.
  func text(in line: Substring) -> Substring? {
    var rest = line
    var found: Substring = ""
    // What may stand before the next literal: nothing at the pattern's begin.
    var gap: Character?
    var literal = ""
    func close(_ isLast: Bool) -> Bool {
      defer { literal = "" }
      guard let place = Self.place(of: literal, in: rest, after: gap != nil, isLast: isLast) else {
        return false
      }
      if gap == "{" { found = rest[..<place.lowerBound] }
      rest = rest[place.upperBound...]
      return true
    }
    for character in pattern where character != "}" {
      if character == "{" || character == "…" {
        guard close(false) else { return nil }
        gap = character
      } else {
        literal.append(character)
      }
    }
    return close(true) ? found : nil
  }

  /// Where a literal stands: at the begin unless something may stand before it, and up to the end if it is the last one.
  private static func place(of literal: String, in rest: Substring, after gap: Bool, isLast: Bool) -> Range<
    Substring.Index
  >? {
    if isLast {
      guard rest.hasSuffix(literal), gap || rest.count == literal.count else { return nil }
      return rest.index(rest.endIndex, offsetBy: -literal.count)..<rest.endIndex
    }
    if !gap {
      return rest.hasPrefix(literal)
        ? rest.startIndex..<rest.index(rest.startIndex, offsetBy: literal.count) : nil
    }
    return literal.isEmpty ? rest.startIndex..<rest.startIndex : rest.firstRange(of: literal)
  }
}

extension EALMessage {
  /// From 22.11 on, which is the first release that Martlet is built with.
  private static let oldest = DPDKRelease(year: 22, month: 11)
  /// The last release that reads its options with getopt.
  private static let lastGetopt = DPDKRelease(year: 25, month: 7)
  /// The first one that reads them with DPDK's own library argparse.
  private static let firstArgparse = DPDKRelease(year: 25, month: 11)
  /// The last one whose bus of virtual devices says itself what failed, and the first where EAL says it.
  private static let lastBusProbe = DPDKRelease(year: 26, month: 3)
  private static let firstEALProbe = DPDKRelease(year: 26, month: 7)

  private init(
    _ trouble: EALTrouble, _ pattern: String, from first: DPDKRelease = oldest, to last: DPDKRelease? = nil
  ) {
    self.init(trouble: trouble, first: first, last: last, pattern: pattern)
  }

  /// All lines that are known; where several have the form of a line the first one counts.
  static let all: [EALMessage] = [
    EALMessage(.lcoreUnavailable, "lcore {} unavailable"),
    EALMessage(.lcoreUnavailable, "core {} unavailable"),
    EALMessage(.lcoreListUnreadable, "…invalid core list…", to: lastGetopt),
    EALMessage(.lcoreListUnreadable, "…invalid coremask…"),
    EALMessage(.lcoreListUnreadable, "…invalid parameter for --lcores…", to: lastGetopt),
    EALMessage(.lcoreListUnreadable, "…No valid lcores in core list…", from: firstArgparse),
    EALMessage(.optionUnknown, "…unrecognized option '{}'…", to: lastGetopt),
    EALMessage(.letterUnknown, "…invalid option -- '{}'…", to: lastGetopt),
    EALMessage(.valueOfLetterMissing, "…requires an argument -- '{}'…", to: lastGetopt),
    EALMessage(.valueMissing, "…option '{}' requires an argument…", to: lastGetopt),
    EALMessage(.optionUnknown, "unknown argument {}!", from: firstArgparse),
    EALMessage(.valueMissing, "argument {} doesn't have value!", from: firstArgparse),
    EALMessage(.lcoresGivenTwice, "Option … is ignored, because …", to: lastGetopt),
    EALMessage(.optionsRefused, "…is not compatible with…", to: lastGetopt),
    EALMessage(.optionsRefused, "…cannot be specified together…", to: lastGetopt),
    EALMessage(.optionsRefused, "…cannot be used together…", to: lastGetopt),
    EALMessage(.optionsRefused, "Options …can't be used at the same time", from: firstArgparse),
    EALMessage(.optionsRefused, "argument …!", from: firstArgparse),
    EALMessage(.optionsRefused, "invalid …"),
    EALMessage(.noHugepages, "…Cannot get hugepage information…"),
    EALMessage(.hugetlbfsNotMounted, "…no mounted hugetlbfs…"),
    EALMessage(.memoryShort, "…Not enough memory available…"),
    EALMessage(.memoryShort, "…couldn't allocate memory due to…"),
    EALMessage(.memoryShort, "…Cannot allocate memory…"),
    EALMessage(.memoryShort, "…Requested:…"),
    EALMessage(.memoryShort, "…error allocating rte services array…"),
    EALMessage(.prefixTaken, "…Cannot create lock…"),
    EALMessage(.prefixTaken, "…Is another primary process running…"),
    EALMessage(.permissionDenied, "…Permission denied…"),
    EALMessage(.notPermitted, "…Operation not permitted…"),
    EALMessage(.driverUnknown, "…Unable to parse device '{}'…"),
    EALMessage(.driverUnknown, "…failed to parse device \"{}\"…"),
    EALMessage(.deviceFailed, "…failed to initialize {} device…", to: lastBusProbe),
    EALMessage(.deviceFailed, "Failed to probe device {}", from: firstEALProbe),
  ]
}

/// A line of the log that is known.
struct EALFinding {
  /// What it means.
  let trouble: EALTrouble
  /// What the message names, see `EALTrouble`.
  let text: String
  /// The line's place in the log, and the line.
  let index: Int
  let line: String
}

/// The log of EAL's start, read with what one release prints.
struct EALLog {
  /// The lines without who printed them.
  let lines: [Substring]
  private let messages: [EALMessage]

  /// Who prints lines: EAL, getopt in the name of the program, and from 24.03 on libraries and buses.
  private static let prefixes = ["EAL: ", "martlet: ", "ARGPARSE: ", "VDEV_BUS: "]

  init(_ log: String, release: DPDKRelease) {
    lines = log.split(whereSeparator: \.isNewline).map { line in
      for prefix in Self.prefixes where line.hasPrefix(prefix) { return line.dropFirst(prefix.count) }
      return line
    }
    messages = EALMessage.all.filter { $0.isPrinted(by: release) }
  }

  /// The first line that says one of these.
  func first(_ troubles: EALTrouble...) -> EALFinding? {
    for (index, line) in lines.enumerated() {
      for message in messages where troubles.contains(message.trouble) {
        guard let text = message.text(in: line) else { continue }
        return EALFinding(trouble: message.trouble, text: String(text), index: index, line: String(line))
      }
    }
    return nil
  }

  /// Whether a line says this.
  func has(_ trouble: EALTrouble) -> Bool { first(trouble) != nil }

  /// The last line that explains something.
  var lastWords: String? {
    lines.last { !$0.isEmpty && !$0.hasPrefix("FATAL") && !$0.hasPrefix(" ") }.map(String.init)
  }
}

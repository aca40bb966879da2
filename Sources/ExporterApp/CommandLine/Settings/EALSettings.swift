// The section `eal:` of a settings file: DPDK's options by their names, or as the words that stand before `--`.

/// EAL's options from a file or from the command line.
struct EALSettings {
  /// An option with its words, in the order given.
  struct Option: Equatable {
    /// What it is about: options that say the same have one slot.
    let slot: String
    var words: [String]
  }

  private(set) var options: [Option] = []

  /// The section's name.
  static let section = "eal"

  /// EAL's options with a value in DPDK 22.11 to 25.11.
  static let valued = [
    "a", "allow", "b", "block", "base-virtaddr", "c", "d", "file-prefix", "force-max-simd-bitwidth",
    "huge-dir",
    "iova-mode", "l", "lcores", "log-color", "log-level", "m", "main-lcore", "mbuf-pool-ops-name", "n",
    "proc-type", "r", "s", "S", "socket-limit", "socket-mem", "syslog", "trace", "trace-bufsz", "trace-dir",
    "trace-mode", "vdev", "vfio-intr", "vfio-vf-token",
  ]
  /// Those without one, or with one that may be left out.
  static let flags = [
    "create-uio-dev", "huge-unlink", "huge-worker-stack", "in-memory", "legacy-mem", "log-timestamp",
    "match-allocations", "no-hpet", "no-huge", "no-pci", "no-shconf", "no-telemetry", "R", "remap-lcore-ids",
    "single-file-segments", "telemetry", "vmware-tsc-map",
  ]
  /// What says the same under several names.
  private static let slots = [
    "a": "allow", "b": "block", "c": "lcores", "l": "lcores", "m": "memory", "socket-mem": "memory",
    "R": "remap-lcore-ids",
  ]

  init() {}

  /// The options in words of a command line.
  init(_ words: [String]) {
    for word in words {
      guard word.hasPrefix("-"), word.count > 1 else {
        if options.isEmpty { options.append(Option(slot: "", words: [])) }
        options[options.count - 1].words.append(word)
        continue
      }
      let isLong = word.hasPrefix("--")
      let name = isLong ? word.dropFirst(2).prefix { $0 != "=" } : word.dropFirst().prefix(1)
      options.append(Option(slot: Self.slot(String(name)), words: [word]))
    }
  }

  /// The options that a settings file gives.
  init(_ content: Setting.Content, line: Int, problems: inout [SettingsProblem]) {
    self.init()
    switch content {
    case .one:
      problems.append(
        SettingsProblem(line, "'eal' takes names with values, as 'lcores: 0@0,1@0,2@1', or a list of words"))
    case .list(let words):
      Self.check(words, &problems)
      self = EALSettings(words.map(\.text))
    case .section(let settings):
      for setting in settings { add(setting, &problems) }
    }
  }

  /// Looks whether each of the words is an option, or the value of the one before.
  private static func check(_ words: [SettingsValue], _ problems: inout [SettingsProblem]) {
    var wantsValue = false
    for word in words {
      if word.hasStrayControl {
        problems.append(
          SettingsProblem(word.line, "a word of 'eal' has a line end or a control character in it"))
      }
      let isOption = word.text.hasPrefix("-") && word.text.count > 1
      if !isOption, !wantsValue {
        problems.append(
          SettingsProblem(
            word.line,
            "'\(word.text)' is no option of EAL's, nor the value of one: options begin with '-', as '-l' or '--lcores=0@0,1@0,2@1'"
          ))
      }
      // Of an option that only another DPDK knows nobody here knows whether it has one.
      let name = word.text.drop { $0 == "-" }
      let isWhole = word.text.hasPrefix("--") ? !name.contains("=") : name.count == 1
      wantsValue = isOption && isWhole && !flags.contains(String(name))
    }
  }

  private mutating func add(_ setting: Setting, _ problems: inout [SettingsProblem]) {
    let name = setting.name
    let isFlag = Self.flags.contains(name)
    guard isFlag || Self.valued.contains(name) else {
      let nearest = OptionTable.nearest(name, among: Self.valued + Self.flags)
      problems.append(
        SettingsProblem(
          setting.line,
          "EAL has no option '\(name)'"
            + (nearest.map { ": do you mean '\($0)'?" } ?? ", or none by that name")))
      return
    }
    let values =
      switch setting.content {
      case .one(let value): [value]
      case .list(let values): values
      case .section: [SettingsValue]()
      }
    for value in values {
      if value.isPlain, value.text == "false" { continue }
      let isTrue = value.isPlain && value.text == "true"
      guard isTrue == isFlag || isFlag && !value.isNull, !value.isNull else {
        problems.append(
          SettingsProblem(value.line, isFlag ? "'\(name)' is true or false" : "EAL's '\(name)' needs a value")
        )
        continue
      }
      let words =
        name.count == 1
        ? ["-" + name] + (isTrue ? [] : [value.text]) : [isTrue ? "--" + name : "--\(name)=\(value.text)"]
      options.append(Option(slot: Self.slot(name), words: words))
    }
  }

  private static func slot(_ name: String) -> String { slots[name] ?? name }

  /// These options without those that `winner` says something about, and its own behind them.
  func overridden(by winner: EALSettings) -> EALSettings {
    let slots = Set(winner.options.map(\.slot))
    var merged = self
    merged.options = options.filter { !slots.contains($0.slot) } + winner.options
    return merged
  }

  /// These options, chosen for interfaces, under what somebody gives himself: his win, but the interfaces stay. With devices
  /// of his own, PCI is needed.
  func under(_ given: EALSettings) -> EALSettings {
    var merged = overridden(by: given)
    if given.options.contains(where: { $0.slot == "vdev" }) {
      merged.options += options.filter { $0.slot == "vdev" }
    }
    if given.options.contains(where: { $0.slot == "allow" }) {
      merged.options.removeAll { $0.slot == "no-pci" }
    }
    return merged
  }

  /// Without the devices.
  var withoutDevices: EALSettings {
    var others = self
    others.options.removeAll { ["vdev", "allow", "block"].contains($0.slot) }
    return others
  }

  /// The words as EAL takes them.
  var words: [String] { options.flatMap(\.words) }
}

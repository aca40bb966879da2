// Which of its lives the program leads: offline, live behind EAL, or just answering a question. Decided before
// EAL starts, so that a wrong option costs neither hugepages nor root.
import ArgumentParser
import Glibc

/// The command line, taken apart at the first `--` as DPDK programs do.
enum Invocation {
  /// EAL's arguments (without the program's name) and what Martlet is to do.
  case live(eal: [String], RunConfiguration)
  /// Captures: no EAL at all.
  case offline(RunConfiguration)
  /// `top`: a view of another martlet, without EAL.
  case top(TopSettings)
  /// Text for standard output, then exit 0.
  case answer(String)

  /// Takes the arguments apart; `arguments` lacks the program's name.
  ///
  /// - Throws: `Failure` with status 64 for a command line that means nothing.
  init(_ arguments: [String]) throws(Failure) {
    if arguments.first == "top" {
      self = try Self.top(Array(arguments.dropFirst()))
      return
    }
    if arguments.count == 2, arguments[0] == "--generate-completion-script",
      let script = CompletionScript.text(arguments[1])
    {
      self = .answer(script)
      return
    }
    let words = CommandWords(arguments)
    let command: EffectiveCommand
    do {
      command = try EffectiveCommand(words)
    } catch {
      if let failure = error as? Failure { throw failure }
      self = .answer(try Self.answer(to: error, words))
      return
    }
    if let answer = try Self.answer(command) {
      self = .answer(answer)
    } else {
      self = try Self.run(command, words)
    }
  }

  /// The answer to a command line that is a question; nil for one that is not.
  private static func answer(_ command: EffectiveCommand) throws(Failure) -> String? {
    let options = command.options
    if let file = options.check { return try SettingsCheck.answer(file) }
    if options.printSettings {
      return SettingsText(command.values, eal: command.eal.map(EALSettings.init), EffectiveCommand.table).text
    }
    if options.listPlugins { return PluginList.text }
    if options.listExports { return ExportList.text }
    if let file = options.printElements { return file.text(options.values) }
    if options.listSystemCalls { return SystemCallList.text }
    if options.listTunnels { return TunnelList.text }
    if options.listCounters { return CounterList.text }
    if options.listMetrics { return MetricList.text }
    switch options.printSchema {
    case .records(let language): return try RecordDeclaration.text(language, options.values)
    case .settings: return SettingsSchema.text(EffectiveCommand.table)
    case nil: return nil
    }
  }

  /// The life that a command line asks for.
  private static func run(_ command: EffectiveCommand, _ words: CommandWords) throws(Failure) -> Invocation {
    let options = command.options
    guard options.captures.isEmpty else {
      guard words.eal == nil else {
        throw .usage("--pcap reads a capture without EAL: leave out the '--' and the EAL options before it")
      }
      guard command.eal == nil, options.interface.isEmpty else {
        throw .usage(
          "captures are read without ports: leave out the captures, or the interfaces and EAL's options")
      }
      guard options.queues == nil, options.config == nil else {
        throw .usage("--queues and --config are about ports and mean nothing with --pcap: leave them out")
      }
      if let missing = options.files.first(where: { access($0, F_OK) != 0 && $0 != "-" }) {
        throw .usage("'\(missing)' is neither an option nor a capture that is there (martlet --help)")
      }
      return .offline(options.values)
    }
    var values = options.values
    if let path = options.settings {
      values.source = SettingsSource(name: path, values: command.values) {
        () throws(Failure) -> GivenSettings in
        do {
          let command = try EffectiveCommand(words)
          return GivenSettings(values: command.values, configuration: command.options.values)
        } catch {
          throw error as? Failure ?? .usage(EffectiveCommand.message(error))
        }
      }
    }
    guard options.interface.isEmpty else { return try live(options, &values, eal: command.eal) }
    guard let eal = command.eal else { throw .usage(usageLine) }
    return .live(eal: eal, values)
  }

  /// Interfaces of the kernel's: EAL's options are chosen, and said.
  private static func live(_ options: Options, _ values: inout RunConfiguration, eal: [String]?)
    throws(Failure)
    -> Invocation
  {
    for word in options.interface {
      if let answer = ForeignOptions.answer(to: ["-i", word]) { throw .usage("\(answer) (martlet --help)") }
    }
    let (interfaces, leftOut) = try KernelInterface.named(options.interface)
    let chosen = InterfaceArguments(
      interfaces, exporters: options.exportLcores, cpus: Machine.onlineCPUs,
      hugepages: Machine.current.freeHugepages)
    let all = EALSettings(chosen.words).under(EALSettings(eal ?? []))
    var shown = ["martlet"] + all.words + ["--"]
    if eal == nil, options.config == nil, options.queues == nil, let config = chosen.config {
      do { values.queueMap = try QueueMap(config) } catch { throw .usage("\(error)") }
      shown += ["--config", "'\(config)'"]
    }
    values.notes = ["the same with EAL's options: \(shown.joined(separator: " ")) …"]
    values.warnings = leftOut + interfaces.compactMap(\.offloadWarning)
    return .live(eal: all.words, values)
  }

  /// `martlet top` with its own options.
  private static func top(_ arguments: [String]) throws(Failure) -> Invocation {
    do {
      return .top(try TopOptions.parse(arguments).values)
    } catch {
      if TopOptions.exitCode(for: error) == .success {
        return .answer(TopOptions.fullMessage(for: error) + "\n")
      }
      let message = TopOptions.message(for: error).split(whereSeparator: \.isNewline).first.map(String.init)
      throw .usage("\(message ?? "wrong options") (martlet top --help)")
    }
  }

  /// What to say to a command line that has neither EAL's arguments nor a capture.
  static let usageLine = """
    nothing to do: give 'martlet FILE' for a capture, 'martlet -i INTERFACE' or 'martlet [EAL options] -- [options]' \
    for live traffic (martlet --help)
    """

  /// Help and version are answers; everything else is a usage failure on one line.
  private static func answer(to error: any Error, _ words: CommandWords) throws(Failure) -> String {
    if Options.exitCode(for: error) == .success { return Options.fullMessage(for: error) + "\n" }
    if let answer = ForeignOptions.answer(to: words.own) { throw .usage("\(answer) (martlet --help)") }
    // Without '--', options that EAL would know mean a forgotten separator, not a typing error.
    if words.eal == nil, let first = words.own.first, ealStarts.contains(where: { first.hasPrefix($0) }) {
      throw .usage("EAL options need '--' after them: martlet [EAL options] -- [options] (martlet --help)")
    }
    throw .usage("\(EffectiveCommand.message(error)) (martlet --help)")
  }

  /// How the first EAL argument of most command lines begins.
  private static let ealStarts = [
    "-l", "-c", "-a", "-b", "-n", "-m", "-d", "--lcores", "--vdev", "--no-huge", "--no-pci", "--file-prefix",
    "--in-memory", "--proc-type", "--socket-mem", "--log-level", "--main-lcore", "--iova-mode",
  ]
}

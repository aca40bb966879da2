// Which of its lives the program leads: offline, live behind EAL, or just answering a question. Decided before
// EAL starts, so that a wrong option costs neither hugepages nor root.
import ArgumentParser

/// The command line, taken apart at the first `--` as DPDK programs do.
enum Invocation {
  /// EAL's arguments (without the program's name) and what Martlet is to do.
  case live(eal: [String], RunConfiguration)
  /// `--pcap`: no EAL at all.
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
    let separator = arguments.firstIndex(of: "--")
    let own = separator.map { Array(arguments[($0 + 1)...]) } ?? arguments
    let eal = separator.map { Array(arguments[..<$0]) } ?? []
    if own.count == 2, own[0] == "--generate-completion-script", let script = CompletionScript.text(own[1]) {
      self = .answer(script)
      return
    }
    let options: Options
    do {
      options = try Options.parse(own)
    } catch {
      self = .answer(try Self.answer(to: error, live: separator != nil, own: own))
      return
    }
    if options.listPlugins {
      self = .answer(PluginList.text)
    } else if options.listExports {
      self = .answer(ExportList.text)
    } else if let file = options.printElements {
      self = .answer(file.text(options.values))
    } else if options.listSystemCalls {
      self = .answer(SystemCallList.text)
    } else if options.listTunnels {
      self = .answer(TunnelList.text)
    } else if options.listCounters {
      self = .answer(CounterList.text)
    } else if options.listMetrics {
      self = .answer(MetricList.text)
    } else if let language = options.printSchema {
      self = .answer(try RecordDeclaration.text(language, options.values))
    } else if separator != nil {
      guard options.pcap.isEmpty else {
        throw .usage("--pcap reads a capture without EAL: leave out the '--' and the EAL options before it")
      }
      self = .live(eal: eal, options.values)
    } else if !options.pcap.isEmpty {
      guard options.queues == nil, options.config == nil else {
        throw .usage("--queues and --config are about ports and mean nothing with --pcap: leave them out")
      }
      self = .offline(options.values)
    } else {
      throw .usage(Self.usageLine)
    }
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
    nothing to do: give 'martlet [EAL options] -- [options]' for live traffic or \
    'martlet [options] --pcap FILE' for a capture (martlet --help)
    """

  /// Help and version are answers; everything else is a usage failure on one line.
  private static func answer(to error: any Error, live: Bool, own: [String]) throws(Failure) -> String {
    if Options.exitCode(for: error) == .success { return Options.fullMessage(for: error) + "\n" }
    // Without '--', options that EAL would know mean a forgotten separator, not a typing error.
    if !live, let first = own.first, ealStarts.contains(where: { first.hasPrefix($0) }) {
      throw .usage("EAL options need '--' after them: martlet [EAL options] -- [options] (martlet --help)")
    }
    let message = Options.message(for: error).split(whereSeparator: \.isNewline).first.map(String.init)
    throw .usage("\(message ?? "wrong options") (martlet --help)")
  }

  /// How the first EAL argument of most command lines begins.
  private static let ealStarts = [
    "-l", "-c", "-a", "-b", "-n", "-m", "-d", "--lcores", "--vdev", "--no-huge", "--no-pci", "--file-prefix",
    "--in-memory", "--proc-type", "--socket-mem", "--log-level", "--main-lcore", "--iova-mode",
  ]
}

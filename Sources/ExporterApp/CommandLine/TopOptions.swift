// The options of `martlet top`.
import ArgumentParser

/// The words after `martlet top`.
struct TopOptions: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet top",
    abstract: "Shows what a running martlet does: rates, lcores, outputs and its largest flows.",
    discussion: """
      It asks over DPDK's telemetry socket, which is in the directory of the other one's --file-prefix, as its user or root. \
      q ends it.
      """)

  @Option(
    help: ArgumentHelp(
      "EAL's --file-prefix of the martlet to watch (the one that runs).", valueName: "NAME"))
  var filePrefix: String?

  @Option(help: ArgumentHelp("Its telemetry socket, where it is not in a usual place.", valueName: "PATH"))
  var socket: String?

  @Option(
    help: ArgumentHelp("Seconds from one frame to the next (1).", valueName: "S"), transform: Seconds.init)
  var interval = TopSettings().interval

  @Option(
    help: ArgumentHelp(
      "How many flows to show, 64 at most (as many as there is room for; 10 with --once).", valueName: "N"),
    transform: { try Bounded.parse($0, in: 0...64) })
  var flows: Int?

  @Flag(help: "Print one frame, with the rates of one interval, and end.")
  var once = false

  /// What the options ask for.
  var values: TopSettings {
    TopSettings(filePrefix: filePrefix, socket: socket, interval: interval, flows: flows, isOnce: once)
  }
}

// `martlet top`: a live view of a running Martlet, in a process of its own that needs no EAL.
import Glibc

/// The program as a viewer.
enum Top {
  /// The socket of the program that runs; says which are not asked.
  private static func found(_ settings: TopSettings) throws(Failure) -> String {
    let finding = try TelemetrySockets.find(prefix: settings.filePrefix, roots: TelemetrySockets.roots())
    for line in finding.leftOut { logger.warning("\(line)") }
    return finding.path
  }

  /// Shows frames until the user or the watched program ends, or one.
  ///
  /// - Throws: there is no program to watch, or it has ended.
  static func run(_ settings: TopSettings) throws(Failure) {
    let path = if let socket = settings.socket { socket } else { try found(settings) }
    let client = try TelemetryClient(path: path)
    let title = "(\(path.split(separator: "/").dropLast().last ?? ""))"
    let milliseconds = Int32(clamping: max(100, settings.interval.nanoseconds / 1_000_000))
    if settings.isOnce {
      let count = settings.flows ?? 10
      let first = try TopSample(client, flowCount: count)
      usleep(UInt32(clamping: Int(milliseconds) * 1000))
      var frame = TopFrame(previous: first, now: try TopSample(client, flowCount: count), title: title)
      if count == 0 { frame = TopFrame(previous: first, now: frame.now.withoutFlows, title: title) }
      return try Console.answer(frame.lines(columns: nil, rows: nil).joined(separator: "\n") + "\n")
    }
    let terminal = try Terminal()
    let most = settings.flows ?? 64
    var previous = try TopSample(client, flowCount: most)
    // The first rates are of a short time, so that nobody waits for a picture.
    var wait = min(milliseconds, 200)
    while terminal.wait(milliseconds: wait) {
      var sample = try TopSample(client, flowCount: most)
      if most == 0 { sample = sample.withoutFlows }
      let size = terminal.size
      terminal.show(
        TopFrame(previous: previous, now: sample, title: title).lines(columns: size.columns, rows: size.rows))
      previous = sample
      wait = milliseconds
    }
  }
}

extension TopSample {
  /// The same without its flows.
  fileprivate var withoutFlows: TopSample {
    var sample = self
    sample.flows = .object([])
    return sample
  }
}

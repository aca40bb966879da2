// Bytes into a file, a FIFO, a terminal: by a thread of its own, because each of these can block for ever, and the lcore
// that exports has other outputs, too.
import Glibc
import Wire

/// A bounded queue of lines or messages in front of a file, and the thread that writes them (`ChunkWriter`).
final class FileWriter: Sendable {
  private let channel: FileChannel
  private let hasQuotedCells: Bool

  /// Opens the file (see `OutputFile`) and starts the thread.
  ///
  /// - Parameters:
  ///   - path: the file's; nil is standard output, and no matter where the options have names.
  ///   - policy: what happens when `capacity` octets wait.
  ///   - others: files that must not be this one.
  ///   - heading: what a file of a series has that ends before anything was pushed.
  ///   - hasQuotedCells: lines of CSV are pushed.
  init(
    path: String?, policy: OverloadPolicy, capacity: Int = 16 << 20, others: [FileIdentity] = [],
    options: FileOptions = FileOptions(), heading: SharedBytes = SharedBytes(), hasQuotedCells: Bool = false
  ) throws(ExportError) {
    let file: OutputFile
    if let pattern = options.pattern {
      let series = FileSeries(pattern, options.rotation)
      Self.report(series.leftovers())
      file = try OutputFile(series)
    } else {
      file = try OutputFile(path: path, others: others)
    }
    let channel = FileChannel(path: file.path, policy: policy, capacity: capacity)
    let writer = try ChunkWriter(file, channel, compressionLevel: options.compressionLevel, heading: heading)
    self.channel = channel
    self.hasQuotedCells = hasQuotedCells
    let code = DetachedThread.start {
      CrashReport.thread("the writer of \(channel.path)")
      writer.run()
    }
    guard code == 0 else { throw .cannotOpen(path: file.path, code: code) }
  }

  /// Says what a run left that was killed.
  private static func report(_ leftovers: [String]) {
    guard let first = leftovers.first else { return }
    let others = leftovers.count > 1 ? " and \(leftovers.count - 1) more" : ""
    logger.warning(
      "a run was killed while it wrote \(first)\(others): read what is in there, then delete it; Martlet leaves it alone"
    )
  }

  /// What was written and lost so far.
  var counters: OutputCounters { channel.counters }
  /// What ended the output for good.
  var failure: ExportError? { channel.failure }
  /// What is wrong now, else empty.
  var status: String { channel.status }

  /// Takes whole lines or messages. Offline it waits for room; live, and where writing fails for too long, they are counted
  /// as lost.
  ///
  /// - Parameters:
  ///   - header: what a file that begins with these bytes has before them.
  ///   - headerWithin: what one that begins within them has, or behind them; nil: the same.
  func push(
    _ bytes: SharedBytes, header: SharedBytes, headerWithin: SharedBytes? = nil, records: Int,
    units: consuming GrowableList<FileChunk.Unit> = GrowableList(capacity: 1)
  ) {
    channel.push(
      FileChunk(
        bytes, header: header, headerWithin: headerWithin, records: records, units: units,
        hasQuotedCells: hasQuotedCells))
  }

  /// Has the file closed and opened by its name again, or the next one of its series begun, behind what was pushed before.
  func reopen() {
    channel.request(
      FileChunk(
        SharedBytes(), header: SharedBytes(), records: 0, units: GrowableList(capacity: 1), reopens: true))
  }

  /// Waits until what was pushed is written, as long as nothing is in the way and `Drain` allows it.
  func settle() { channel.settle() }

  /// Waits until all is written, but not beyond `Drain`; what is left then is counted as lost.
  func close() { channel.close() }
}

// What the export lcore and the offline loop ask of an exporter, and nothing more.

/// What an exporter counted; written by its lcore only, read by the control lcore.
struct ExportCounters: BitwiseCopyable, Sendable {
  /// Records that were exported.
  var records: UInt64 = 0
  /// Messages (or files' lines) that left.
  var messages: UInt64 = 0
  /// Bytes that left.
  var bytes: UInt64 = 0
  /// Records longer than --mtu that went out in a message of their own.
  var oversize: UInt64 = 0
  /// Templates sent, repetitions included.
  var templates: UInt64 = 0
  /// Records that could not be delivered.
  var dropped: UInt64 = 0
  /// Mistakes of plugins that showed while fields were written, as `WorkerCounters.parserFaults`.
  var parserFaults: InlineArray<33, UInt64> = .init(repeating: 0)
}

/// Turns finished records into output. One lcore calls it, always the same.
protocol RecordExporting: AnyObject {
  /// Takes `count` finished records; they are the caller's again when this returns.
  func export(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int)
  /// Time passes: send what waited too long, reconnect, refresh templates. `now` is ns since 1970; called at
  /// least every few milliseconds live, and once a burst offline.
  func tick(now: UInt64)
  /// No more records: write everything out and close. Called once, last.
  func finish()
  /// The counters, at an address that stays.
  var counters: UnsafePointer<ExportCounters> { get }
  /// What went wrong for good (a file that could not be written), or nil; asked after `finish`.
  var failure: String? { get }
}

// What the export lcore and the offline loop ask of an exporter, and nothing more.

import FlowCore

/// What an exporter counted; written by its lcore only, read by the control lcore.
struct ExportCounters: BitwiseCopyable, Sendable {
  /// Records that were exported.
  var records: UInt64 = 0
  /// Messages (or files' lines) that left.
  var messages: UInt64 = 0
  /// Bytes that left.
  var bytes: UInt64 = 0
  /// Records that could not be delivered.
  var dropped: UInt64 = 0
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

/// An exporter without an output: counts records and forgets them.
final class NullExporter: RecordExporting {
  private let storage: UnsafeMutablePointer<ExportCounters>

  init() {
    storage = .allocate(capacity: 1)
    storage.initialize(to: ExportCounters())
  }

  deinit { storage.deallocate() }

  func export(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) {
    storage.pointee.records &+= UInt64(count)
  }
  func tick(now: UInt64) {}
  func finish() {}
  var counters: UnsafePointer<ExportCounters> { UnsafePointer(storage) }
  var failure: String? { nil }
}

/// Makes the exporter for the options; the exporters' own code replaces the body.
enum ExporterFactory {
  /// - Parameter live: whether a slow output drops (live) or waits (offline).
  /// - Throws: `Failure`, with status 64 for an URL that means nothing.
  static func make(_ options: Options, schema: RecordSchema, live: Bool) throws(Failure)
    -> any RecordExporting
  {
    NullExporter()
  }
}

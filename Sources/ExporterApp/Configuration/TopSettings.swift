// What `martlet top` is to show, as a plain value.

/// Which program is watched, and how.
struct TopSettings: Sendable {
  /// The program's `--file-prefix`; nil for the one that runs.
  var filePrefix: String?
  /// The telemetry socket, where that is known.
  var socket: String?
  /// From one frame to the next.
  var interval = Seconds(nanoseconds: 1_000_000_000)
  /// How many flows are shown; nil for as many as there is room for.
  var flows: Int?
  /// One frame, for a file or another program.
  var isOnce = false
}

// Live and offline differ in what becomes of records that nobody takes.

/// What happens when a destination cannot keep up.
enum OverloadPolicy: Sendable {
  /// Live capture: what has no room is dropped and counted.
  case drop
  /// Offline: wait, but no longer than so many seconds without any progress.
  case wait(seconds: Double)
}

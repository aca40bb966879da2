// How counters are shown on standard error: to somebody who looks on, or to a program that reads them.
import Glibc

/// The form of --stats lines and of the totals.
enum StatsFormat: String, CaseIterable, Sendable {
  /// Rates and losses in a line of at most 100 columns; the totals in groups, without those that are 0.
  case line
  /// Every counter as name=value, and every one in the totals.
  case full
  /// An object of JSON on each line, with every counter.
  case json

  /// What is usual: a terminal has somebody who looks on.
  static var usual: StatsFormat { isatty(STDERR_FILENO) == 1 ? .line : .full }
}

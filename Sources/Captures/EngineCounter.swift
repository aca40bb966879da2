// What a counter of an engine is.
import FlowCore

/// One counter: its name, what it means, and how to read it.
public struct EngineCounter: Sendable {
  /// Its name, in the totals and (with `_` for spaces) where a word is needed.
  public let name: String
  /// Whether its values only grow.
  public let kind: Kind
  /// What is counted.
  public let unit: Unit
  /// What it counts, in words.
  public let help: String
  /// How to read it where it is kept.
  public let read: @Sendable (WorkerCounters) -> UInt64

  /// Whether values only grow.
  public enum Kind: String, CaseIterable, Sendable {
    /// It grows while the program runs, so that a rate can be taken of it.
    case counter
    /// A state that goes up and down.
    case gauge
  }

  /// What is counted.
  public enum Unit: String, CaseIterable, Sendable {
    case packets
    case segments
    case streams
    case bytes
    case flows
    case records
    case messages
    case templates
    case blocks
    case hellos
    case connections
    case addresses
    case values
    case faults
  }

  /// A counter's name as one word.
  public static func word(_ name: String) -> String { name.replacing(" ", with: "_") }
}

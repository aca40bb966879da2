// What a counter is: everything that is said about it anywhere follows from its declaration in `CounterTable`.
import Captures
import FlowCore

/// One counter: its name, what it means, and where its values are in a snapshot.
struct Counter: Sendable {
  /// Its name, in the totals and (with `_` for spaces) in the --stats line.
  let name: String
  /// Whether its values only grow.
  let kind: Kind
  /// What is counted.
  let unit: Unit
  /// What it counts, in words.
  let help: String
  /// Who counts, and how to read it there.
  let source: Source

  typealias Kind = EngineCounter.Kind
  typealias Unit = EngineCounter.Unit

  /// Who counts: there is a value for each of them.
  enum Scope: String, CaseIterable, Sendable {
    case worker = "worker lcore"
    case port
    case export = "export lcore"
    case output
  }

  /// How to read the counter where it is kept.
  enum Source: Sendable {
    /// A worker lcore's loop.
    case loop(@Sendable (LcoreCounters) -> UInt64)
    /// A worker lcore's engine.
    case engine(@Sendable (WorkerCounters) -> UInt64)
    /// A port's device.
    case port(@Sendable (PortCounters) -> UInt64)
    /// An export lcore, with the part of each of its outputs: what all outputs got is counted once.
    case export(
      @Sendable (ExporterCounters) -> UInt64, ofOutput: @Sendable (OutputCounters) -> UInt64)
    /// One `--export`.
    case output(@Sendable (OutputCounters) -> UInt64)
  }

  /// Who counts.
  var scope: Scope {
    switch source {
    case .loop, .engine: .worker
    case .port: .port
    case .export: .export
    case .output: .output
    }
  }

  /// The name as one word, for `name=value`.
  var word: String { EngineCounter.word(name) }
}

extension Counter {
  /// A counter of an engine.
  init(_ counter: EngineCounter) {
    self.init(
      name: counter.name, kind: counter.kind, unit: counter.unit, help: counter.help,
      source: .engine(counter.read))
  }
}

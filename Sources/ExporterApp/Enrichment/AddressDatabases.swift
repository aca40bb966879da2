// The databases of a run, as all export lcores ask them, and how they are read again after a SIGHUP: by who waits for signals, while
// export lcores go on with those that they have.
import FlowCore
import Synchronization

/// Several databases, of which each says what it knows; of the same kind the first one counts.
final class AddressDatabases: Sendable {
  private let current: Mutex<[AddressDatabase]>
  /// How often they were replaced.
  private let replacements = Atomic<Int>(0)

  /// Opens those of the configuration; nil where it has none.
  ///
  /// - Throws: one that cannot be opened.
  init?(_ configuration: RunConfiguration) throws(Failure) {
    guard !configuration.addressDatabases.isEmpty else { return nil }
    current = Mutex(try Self.open(configuration.addressDatabases))
  }

  private static func open(_ paths: [String]) throws(Failure) -> [AddressDatabase] {
    var databases: [AddressDatabase] = []
    for path in paths { databases.append(try AddressDatabase(path)) }
    return databases
  }

  /// Gives export lcores others.
  ///
  /// - Throws: one that cannot be opened; all stay as they are.
  func replace(by paths: [String]) throws(Failure) {
    let fresh = try Self.open(paths)
    current.withLock { $0 = fresh }
    replacements.wrappingAdd(1, ordering: .releasing)
  }

  /// Reads the files again; where one cannot be read all stay as they are.
  func reload() {
    do throws(Failure) {
      try replace(by: all.map(\.path))
      logger.info("--mmdb: read again")
    } catch {
      logger.warning("\(error.description); all stay as they were")
    }
  }

  /// How often they were replaced.
  var version: Int { replacements.load(ordering: .acquiring) }

  /// The databases now.
  var all: [AddressDatabase] { current.withLock { $0 } }
}

/// What an export lcore knows of addresses; it alone uses this.
final class Enricher {
  /// What was looked up of late.
  let cache: FactCache
  /// What was asked, at an address that stays, for the control lcore.
  let counters: UnsafeMutablePointer<LookupCounters>
  private let databases: AddressDatabases
  private let source: Source
  private var version: Int

  /// What the cache asks.
  private final class Source {
    var databases: [AddressDatabase]
    let counters: UnsafeMutablePointer<LookupCounters>

    init(_ databases: [AddressDatabase], _ counters: UnsafeMutablePointer<LookupCounters>) {
      self.databases = databases
      self.counters = counters
    }

    func facts(of address: IPAddress) -> AddressFacts {
      counters.pointee.addresses &+= 1
      var facts = AddressFacts()
      for database in databases {
        facts.complete(with: database.facts(of: address, errors: &counters.pointee.errors))
      }
      return facts
    }
  }

  /// A cache of these databases.
  init(_ databases: AddressDatabases) {
    self.databases = databases
    version = databases.version
    counters = .allocate(capacity: 1)
    counters.initialize(to: LookupCounters())
    let source = Source(databases.all, counters)
    self.source = source
    cache = FactCache { source.facts(of: $0) }
  }

  /// Takes over databases that were read again, between records.
  func tick() {
    guard databases.version != version else { return }
    version = databases.version
    source.databases = databases.all
    cache.removeAll()
  }
}

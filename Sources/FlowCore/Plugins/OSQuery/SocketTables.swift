// Who owns the host's connections, for workers that look one up when a flow ends: two tables of atomic words, of which one is
// read while the other is written.
import Synchronization
import Wire

/// The connections that were told last, and whose they are.
///
///     place   | key 5 words | lengths | names 10 words |    two cache lines; the key's first word is 0 where it is free
///
/// The generation counts what was published, and says by its lowest bit which table holds it. A table is written again only
/// for the generation after next: who finds the same generation after a look as before it has seen no half-written place.
struct SocketTables: ~Copyable {
  /// The most connections that find room; twice as many places, so that few have to move far.
  static let mostSockets = 8192
  private static let places = 2 * mostSockets
  /// How far from its place by hash a connection may lie.
  private static let farthest = 64
  private static let wordsOfPlace = SocketKey.words + 1 + SocketOwner.words

  private let generation = Atomic<UInt64>(0)
  /// Both tables, made when something is published first.
  private let memory = Atomic<UnsafeMutablePointer<Atomic<UInt64>>?>(nil)
  /// Where a connection lies: by a secret, so that no sender can choose places.
  private let hashing = FlowHash(seed: .random(in: 1...(.max)))

  /// Something was published.
  @inline(__always) var isFilled: Bool { generation.load(ordering: .relaxed) > 0 }

  /// Whose connection that is; nil where it is not known.
  func owner(of key: SocketKey) -> SocketOwner? {
    // From one publication to the next a second passes at least: a second look is in time.
    var looks = 0
    while looks < 2 {
      let before = generation.load(ordering: .acquiring)
      guard before > 0, let memory = memory.load(ordering: .acquiring) else { return nil }
      let owner = find(key, Self.table(before, memory))
      if generation.load(ordering: .acquiring) == before { return owner }
      looks &+= 1
    }
    return nil
  }

  /// Makes `owners` what is known; returns how many found no room.
  func publish(_ owners: [SocketKey: SocketOwner]) -> Int {
    let memory = memory.load(ordering: .relaxed) ?? makeTables()
    let next = generation.load(ordering: .relaxed) &+ 1
    let table = Self.table(next, memory)
    for place in 0..<Self.places { table[place * Self.wordsOfPlace].store(0, ordering: .releasing) }
    var left = 0
    for (key, owner) in owners where !enter(key, owner, table) { left += 1 }
    generation.store(next, ordering: .releasing)
    return left
  }

  private func makeTables() -> UnsafeMutablePointer<Atomic<UInt64>> {
    let count = 2 * Self.places * Self.wordsOfPlace
    let made = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: count)
    for index in 0..<count { (made + index).initialize(to: Atomic(0)) }
    memory.store(made, ordering: .releasing)
    return made
  }

  /// The table of a generation.
  @inline(__always)
  private static func table(_ generation: UInt64, _ memory: UnsafeMutablePointer<Atomic<UInt64>>)
    -> UnsafeMutablePointer<Atomic<UInt64>>
  {
    memory + (generation & 1 == 0 ? 0 : places &* wordsOfPlace)
  }

  /// The place where the search for a connection begins.
  @inline(__always)
  private func start(_ key: SocketKey) -> Int {
    Int(truncatingIfNeeded: hashing.hashes(key.low, key.high, key.rest).1) & (Self.places &- 1)
  }

  @inline(__always)
  private func find(_ key: SocketKey, _ table: UnsafeMutablePointer<Atomic<UInt64>>) -> SocketOwner? {
    let start = start(key)
    var step = 0
    while step < Self.farthest {
      // Safe: the mask keeps the place inside of the table, `places` being a power of two.
      let place = table + ((start &+ step) & (Self.places &- 1)) &* Self.wordsOfPlace
      var word = 0
      while word < SocketKey.words, place[word].load(ordering: .acquiring) == key[word] { word &+= 1 }
      if word == SocketKey.words {
        return SocketOwner(lengths: place[SocketKey.words].load(ordering: .acquiring)) {
          place[SocketKey.words &+ 1 &+ $0].load(ordering: .acquiring)
        }
      }
      if place[0].load(ordering: .acquiring) == 0 { return nil }
      step &+= 1
    }
    return nil
  }

  /// Writes a connection to the first free place; false where there is none near enough.
  private func enter(_ key: SocketKey, _ owner: SocketOwner, _ table: UnsafeMutablePointer<Atomic<UInt64>>)
    -> Bool
  {
    let start = start(key)
    for step in 0..<Self.farthest {
      // Safe: as in `find`.
      let place = table + ((start + step) & (Self.places - 1)) * Self.wordsOfPlace
      guard place[0].load(ordering: .relaxed) == 0 else { continue }
      for word in 0..<SocketKey.words { place[word].store(key[word], ordering: .releasing) }
      place[SocketKey.words].store(owner.lengths, ordering: .releasing)
      for word in 0..<SocketOwner.words {
        place[SocketKey.words + 1 + word].store(owner.word(word), ordering: .releasing)
      }
      return true
    }
    return false
  }
}

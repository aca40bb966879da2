// Who owns the filter that workers run: it can be replaced while they do. A worker looks between bursts whether there is
// another one, and says when it has it, so that the old one can be freed without a lock.
import Captures
import FlowCore
import Synchronization

/// Where workers find the filter, at one address for all lcores.
struct FilterSlot: ~Copyable {
  /// How often the filter was replaced.
  let generation = Atomic<UInt64>(0)
  /// The filter of at least that generation; nil where all packets pass.
  let current = Atomic<UnsafeMutablePointer<PacketFilter>?>(nil)
}

/// The generation that a worker has, written by it alone.
struct FilterAcknowledgement: ~Copyable {
  let generation = Atomic<UInt64>(0)
}

/// The control lcore's side.
final class FilterOwner {
  private let slot: UnsafeMutablePointer<FilterSlot>
  private var acknowledgements: [UnsafeMutablePointer<FilterAcknowledgement>] = []
  /// Filters that were replaced by the generation beside them, and that a worker may still run.
  private var retired: [(filter: UnsafeMutablePointer<PacketFilter>, by: UInt64)] = []

  /// All packets pass. What workers refer to stays as long as the process.
  init() {
    slot = .allocate(capacity: 1)
    slot.initialize(to: FilterSlot())
  }

  /// A worker's side; before the lcores start.
  func reader() -> FilterReader {
    let acknowledgement = UnsafeMutablePointer<FilterAcknowledgement>.allocate(capacity: 1)
    acknowledgement.initialize(to: FilterAcknowledgement())
    acknowledgements.append(acknowledgement)
    return FilterReader(slot: slot, acknowledgement: acknowledgement)
  }

  /// Gives the workers another filter, which they run from their next burst on; nil lets all packets pass. EAL must have
  /// started.
  ///
  /// - Returns: how it runs.
  @discardableResult
  func replace(with program: FilterProgram?) -> PacketFilter.Method? {
    var made: UnsafeMutablePointer<PacketFilter>?
    if let program {
      let filter = UnsafeMutablePointer<PacketFilter>.allocate(capacity: 1)
      filter.initialize(to: PacketFilter(program))
      made = filter
    }
    let old = slot.pointee.current.exchange(made, ordering: .acquiringAndReleasing)
    // After the filter itself, so that who sees the number sees the filter, too.
    let generation = slot.pointee.generation.wrappingAdd(1, ordering: .releasing).newValue
    if let old { retired.append((old, generation)) }
    freeRetired()
    return made?.pointee.method
  }

  /// Frees the filters that no worker runs any more. Others are looked at again with the next replacement.
  private func freeRetired() {
    let seen = acknowledgements.map { $0.pointee.generation.load(ordering: .acquiring) }.min() ?? .max
    for (filter, _) in retired.filter({ $0.by <= seen }) {
      filter.deinitialize(count: 1)
      filter.deallocate()
    }
    retired.removeAll { $0.by <= seen }
  }
}

/// A worker's side.
struct FilterReader {
  private let slot: UnsafeMutablePointer<FilterSlot>
  private let acknowledgement: UnsafeMutablePointer<FilterAcknowledgement>
  private let results: UnsafeMutablePointer<UInt64>
  private var generation: UInt64 = 0
  private var filter: UnsafeMutablePointer<PacketFilter>?

  fileprivate init(
    slot: UnsafeMutablePointer<FilterSlot>, acknowledgement: UnsafeMutablePointer<FilterAcknowledgement>
  ) {
    self.slot = slot
    self.acknowledgement = acknowledgement
    results = .allocate(capacity: FlowWorker.burstSize)
    results.initialize(repeating: 0, count: FlowWorker.burstSize)
  }

  /// Whether a packet may not pass.
  @inline(__always) var isOn: Bool { filter != nil }

  /// Takes over another filter, where there is one; between bursts.
  @inline(__always)
  mutating func refresh() {
    if slot.pointee.generation.load(ordering: .relaxed) != generation { take() }
  }

  @inline(never)
  private mutating func take() {
    generation = slot.pointee.generation.load(ordering: .acquiring)
    filter = slot.pointee.current.load(ordering: .acquiring)
    acknowledgement.pointee.generation.store(generation, ordering: .releasing)
  }

  /// As `PacketFilter.select`; all pass where there is no filter.
  @inline(__always)
  func select(
    _ mbufs: UnsafeMutablePointer<OpaquePointer?>, _ frames: UnsafeMutablePointer<Frame>,
    _ times: UnsafeMutablePointer<UInt64>, count: Int, refused: inout UInt64
  ) -> Int {
    guard let filter else { return count }
    return filter.pointee.select(mbufs, frames, times, count: count, results: results, refused: &refused)
  }
}

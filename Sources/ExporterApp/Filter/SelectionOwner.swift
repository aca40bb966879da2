// Who owns the choice of packets that workers make, filter and sampling as one: it can be replaced while they run. A worker looks
// between bursts whether there is another one, and says when it has it, so that the old filter can be freed without a lock.
import Captures
import FlowCore
import Synchronization

/// Which packets make flows. It stays at its address as long as a worker may read it.
struct PacketSelection: BitwiseCopyable {
  /// nil where all packets pass.
  let filter: UnsafeMutablePointer<PacketFilter>?
  /// Which of those that pass are looked at.
  let sampling: Sampling
}

/// Where workers find it, at one address for all lcores.
struct SelectionSlot: ~Copyable {
  /// How often it was replaced.
  let generation = Atomic<UInt64>(0)
  /// The selection of at least that generation; nil before it was replaced for the first time.
  let current = Atomic<UnsafeMutablePointer<PacketSelection>?>(nil)
}

/// The generation that a worker has, written by it alone.
struct SelectionAcknowledgement: ~Copyable {
  let generation = Atomic<UInt64>(0)
}

/// The control lcore's side.
final class SelectionOwner {
  private let slot: UnsafeMutablePointer<SelectionSlot>
  private var acknowledgements: [UnsafeMutablePointer<SelectionAcknowledgement>] = []
  /// Selections that were replaced by the generation beside them, and whose filter a worker may still run.
  private var retired: [(selection: UnsafeMutablePointer<PacketSelection>, by: UInt64)] = []

  /// All packets pass, and workers sample as they were made. What they refer to stays as long as the process.
  init() {
    slot = .allocate(capacity: 1)
    slot.initialize(to: SelectionSlot())
  }

  /// How many selections wait for a worker to let go of them.
  var retiredCount: Int { retired.count }

  /// A worker's side; before the lcores start.
  func reader() -> SelectionReader {
    let acknowledgement = UnsafeMutablePointer<SelectionAcknowledgement>.allocate(capacity: 1)
    acknowledgement.initialize(to: SelectionAcknowledgement())
    acknowledgements.append(acknowledgement)
    return SelectionReader(slot: slot, acknowledgement: acknowledgement)
  }

  /// Gives the workers another selection, which holds from their next burst on, all of it at once. EAL must have started.
  ///
  /// - Parameter program: nil lets all packets pass.
  /// - Returns: how the filter runs; nil without one.
  @discardableResult
  func replace(filter program: FilterProgram?, sampling: Sampling) -> PacketFilter.Method? {
    var filter: UnsafeMutablePointer<PacketFilter>?
    if let program {
      let made = UnsafeMutablePointer<PacketFilter>.allocate(capacity: 1)
      made.initialize(to: PacketFilter(program))
      filter = made
    }
    let made = UnsafeMutablePointer<PacketSelection>.allocate(capacity: 1)
    made.initialize(to: PacketSelection(filter: filter, sampling: sampling))
    let old = slot.pointee.current.exchange(made, ordering: .acquiringAndReleasing)
    // After the selection itself, so that who sees the number sees the selection, too.
    let generation = slot.pointee.generation.wrappingAdd(1, ordering: .releasing).newValue
    if let old { retired.append((old, generation)) }
    freeRetired()
    return filter?.pointee.method
  }

  /// Frees what no worker runs any more; the others are looked at again with the next call.
  func freeRetired() {
    guard !retired.isEmpty else { return }
    let seen = acknowledgements.map { $0.pointee.generation.load(ordering: .acquiring) }.min() ?? .max
    for (selection, _) in retired.filter({ $0.by <= seen }) {
      if let filter = selection.pointee.filter {
        filter.deinitialize(count: 1)
        filter.deallocate()
      }
      selection.deallocate()
    }
    retired.removeAll { $0.by <= seen }
  }
}

/// A worker's side.
struct SelectionReader {
  private let slot: UnsafeMutablePointer<SelectionSlot>
  private let acknowledgement: UnsafeMutablePointer<SelectionAcknowledgement>
  private let results: UnsafeMutablePointer<UInt64>
  private var generation: UInt64 = 0
  private var filter: UnsafeMutablePointer<PacketFilter>?

  fileprivate init(
    slot: UnsafeMutablePointer<SelectionSlot>, acknowledgement: UnsafeMutablePointer<SelectionAcknowledgement>
  ) {
    self.slot = slot
    self.acknowledgement = acknowledgement
    results = .allocate(capacity: FlowWorker.burstSize)
    results.initialize(repeating: 0, count: FlowWorker.burstSize)
  }

  /// Whether a packet may not pass.
  @inline(__always) var isOn: Bool { filter != nil }

  /// Whether there is another selection than the one that the worker has.
  @inline(__always) var isStale: Bool { slot.pointee.generation.load(ordering: .relaxed) != generation }

  /// Takes over the selection that there is now; between bursts.
  ///
  /// - Returns: which packets are sampled from here on; nil where it was never replaced.
  mutating func take() -> Sampling? {
    generation = slot.pointee.generation.load(ordering: .acquiring)
    guard let selection = slot.pointee.current.load(ordering: .acquiring) else { return nil }
    filter = selection.pointee.filter
    let sampling = selection.pointee.sampling
    // Last: whoever sees the number may free what this worker had before.
    acknowledgement.pointee.generation.store(generation, ordering: .releasing)
    return sampling
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

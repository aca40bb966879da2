// What lcores share: the two rings between a worker and the export lcore, the flag that ends the run, and where a worker's
// counters lie for the control lcore.
import CDPDK
import FlowCore
import Synchronization

/// A finished record, or an empty one on its way back.
typealias Record = UnsafeMutableRawPointer?

/// The state of the run, at one address for all lcores.
struct RunState: ~Copyable {
  /// Receiving ends: workers flush.
  let stop = Atomic<Bool>(false)
}

/// What an export lcore and the workers that it serves share besides their rings, at one address for all.
struct ExportState: ~Copyable {
  /// Workers that have handed over all of their records.
  let finishedWorkers = Atomic<Int>(0)
}

/// A worker lcore's side of everything shared; lives until the process ends.
struct WorkerLink: BitwiseCopyable {
  /// Worker to export: finished records.
  let records: OpaquePointer
  /// Export to worker: empty records.
  let returned: OpaquePointer
  /// The export lcore's, which serves this worker.
  let export: UnsafeMutablePointer<ExportState>
  /// Written by the worker only.
  let counters: UnsafeMutablePointer<LcoreCounters>

  /// Records that fit the way to the export lcore; the way back has twice that, because the export lcore's
  /// hands come on top.
  static let ringSize: UInt32 = 8192
  /// Records that may wait in both rings: those that are finished, and those that are on their way back.
  static let recordsUnderWay = 2 * Int(ringSize)

  /// Makes the rings on the worker's socket.
  init(lcore: UInt32, socket: Int32, export: UnsafeMutablePointer<ExportState>) throws(Failure) {
    guard let records = martlet_ring_create("records_\(lcore)", Self.ringSize, socket),
      let returned = martlet_ring_create("returned_\(lcore)", Self.ringSize * 2, socket)
    else {
      throw .general(
        "no memory for the rings of lcore \(lcore) (\(String(cString: martlet_error_text(martlet_errno())))): "
          + "raise -m, or reserve more hugepages with hugepages-setup.sh")
    }
    self.records = records
    self.returned = returned
    self.export = export
    // Lines of its own in pairs, as CPUs fetch them, so that no two workers write one.
    precondition(MemoryLayout<LcoreCounters>.size <= 256)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 128)
    // Safe: the precondition; nothing frees it.
    counters = memory.bindMemory(to: LcoreCounters.self, capacity: 1)
    counters.initialize(to: LcoreCounters())
  }
}

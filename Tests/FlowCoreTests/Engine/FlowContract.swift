// What the tests of the flow contract share: times, a record in short, a worker that is handed packets one by one.
@testable import FlowCore

enum FlowContract {
  static let second: UInt64 = 1_000_000_000
  static let millisecond: UInt64 = 1_000_000
  static let start: UInt64 = 1_700_000_000 * second

  /// TCP's flags octet.
  enum Flag {
    static let fin: UInt8 = 0x01
    static let syn: UInt8 = 0x02
    static let reset: UInt8 = 0x04
    static let acknowledge: UInt8 = 0x10
  }

  /// What the contract says of a record.
  struct Summary: Hashable, CustomStringConvertible {
    var reason: Int
    var forward: Int
    var reverse: Int
    /// Nanoseconds, to the microsecond.
    var first: UInt64
    var last: UInt64

    /// Times in nanoseconds since `start`.
    init(_ reason: FlowEndReason, _ forward: Int, _ reverse: Int, from first: UInt64, to last: UInt64) {
      self.init(Int(reason.rawValue), forward, reverse, start + first, start + last)
    }

    init(_ reason: Int, _ forward: Int, _ reverse: Int, _ first: UInt64, _ last: UInt64) {
      (self.reason, self.forward, self.reverse, self.first, self.last) = (
        reason, forward, reverse, first, last
      )
    }

    var description: String {
      func seconds(_ time: UInt64) -> Double { Double(Int64(bitPattern: time &- start)) / 1e9 }
      return "reason \(reason), \(forward)+\(reverse) packets, \(seconds(first))…\(seconds(last)) s"
    }
  }

  /// A worker that a test hands packets to one by one.
  final class Bench {
    let worker: FlowWorker
    /// The records that ended, oldest first, with the bytes of their heads.
    private(set) var records: [FlowRecord] = []

    init(_ configuration: FlowConfiguration = .small) throws {
      worker = try FlowWorker(configuration: configuration, schema: BuiltInSchema(plugins: []), number: 0)
    }

    var summaries: [Summary] {
      records.map { record in withUnsafePointer(to: record) { Summary($0) } }
    }

    /// Hands over one frame as a burst of its own.
    func receive(_ frame: [UInt8], at time: UInt64) {
      receive([CapturedFrame(bytes: frame, wire: frame.count, time: time)])
    }

    /// Hands over a burst.
    func receive(_ burst: some Collection<CapturedFrame>) {
      var bytes: [UInt8] = []
      for frame in burst { bytes += frame.bytes }
      bytes.withUnsafeBytes { bytes in
        var offset = 0
        let frames = burst.map { frame in
          defer { offset += frame.bytes.count }
          return Frame(
            bytes: bytes.baseAddress! + offset, captured: UInt32(frame.bytes.count), wire: UInt32(frame.wire))
        }
        worker.process(frames, count: frames.count, times: burst.map(\.time))
      }
      collect()
    }

    func idle(until time: UInt64) {
      worker.idle(now: time)
      collect()
    }

    func flush() {
      while worker.flush() { collect() }
    }

    private func collect() {
      for index in 0..<worker.finished {
        records.append(worker.outbox[index]!.assumingMemoryBound(to: FlowRecord.self).pointee)
      }
      worker.recycle(worker.outbox, count: worker.finished)
    }
  }
}

extension FlowContract.Summary {
  init(_ record: UnsafePointer<FlowRecord>) {
    let record = record.pointee
    self.init(
      Int(record.endReason.rawValue), Int(record.forwardPackets), Int(record.reversePackets), record.first,
      record.last)
  }
}

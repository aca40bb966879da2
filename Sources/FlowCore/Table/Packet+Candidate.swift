// A packet knows its record as an address only, because packets lie below the table.

extension Packet {
  /// The record at `candidate`.
  @inline(__always)
  var candidateRecord: UnsafeMutablePointer<FlowRecord>? {
    // Safe: only the engine sets it, and to nothing but records.
    candidate?.flowRecord
  }
}

// One cache line of the table with eight places; `FlowTable` says what lies where.
import CIntrinsics

/// One line of the table.
///
/// Safe: a line has 64 bytes, with eight values of each kind at their places; whoever takes one masks the lane.
struct Bucket: BitwiseCopyable {
  let line: UnsafeMutableRawPointer

  @inline(__always) private var signatures: UnsafeMutablePointer<UInt16> {
    line.assumingMemoryBound(to: UInt16.self)
  }
  @inline(__always) private var records: UnsafeMutablePointer<UInt32> {
    (line + 16).assumingMemoryBound(to: UInt32.self)
  }
  @inline(__always) private var dues: UnsafeMutablePointer<UInt16> {
    (line + 48).assumingMemoryBound(to: UInt16.self)
  }

  @inline(__always) func prefetch() { martlet_prefetch(line) }

  /// The places (bit = lane) whose signature is `signature`; 0 gives the free ones.
  @inline(__always)
  func lanes(matching signature: UInt16) -> UInt32 { martlet_match_signatures(line, signature) }

  /// The places (bit = lane) that are in use.
  @inline(__always) var occupied: UInt32 { ~lanes(matching: 0) & 0xFF }

  /// How many of the bucket's flows are guests in other buckets.
  @inline(__always) var guests: UInt32 { martlet_low_bits(line) }

  /// Notes how many of the bucket's flows are guests in other buckets, at most 255.
  func setGuests(_ number: UInt32) {
    var lane = 0
    while lane < 8 {
      let bit = UInt16(truncatingIfNeeded: number &>> UInt32(truncatingIfNeeded: lane)) & 1
      dues[lane & 7] = dues[lane & 7] & ~1 | bit
      lane &+= 1
    }
  }

  @inline(__always)
  func recordIndex(_ lane: Int) -> UInt32 {
    records[lane & 7]
  }

  /// The place of the record with number `index`, whose signature is `signature`.
  @inline(__always)
  func lane(of index: UInt32, signature: UInt16) -> Int? {
    var lanes = lanes(matching: signature)
    while lanes != 0 {
      let lane = lanes.trailingZeroBitCount
      if recordIndex(lane) == index { return lane }
      lanes &= lanes &- 1
    }
    return nil
  }

  @inline(__always)
  func set(lane: Int, signature: UInt16, record: UInt32) {
    signatures[lane & 7] = signature
    records[lane & 7] = record
  }

  @inline(__always)
  func due(_ lane: Int) -> UInt16 {
    dues[lane & 7] & ~1
  }

  /// Notes when the sweep has to look at `lane`; the lowest bit stays.
  @inline(__always)
  func setDue(_ lane: Int, _ tick: UInt16) {
    dues[lane & 7] = tick & ~1 | dues[lane & 7] & 1
  }

  @inline(__always)
  func clear(lane: Int) {
    signatures[lane & 7] = 0
  }
}

// The table in groups of buckets, as the sweep goes through it: which groups have flows, and in which something is due.
import CIntrinsics
import Wire

extension FlowTable {
  /// The number of the group that `bucket` belongs to.
  @inline(__always)
  func group(of bucket: Bucket) -> Int {
    (bucket.line - buckets) >> 8
  }

  /// Few of the groups have flows: to visit these takes less time than to pass all.
  @inline(__always)
  var isSparse: Bool { count &* 16 < Int(truncatingIfNeeded: groupCount) }

  /// The first group from `group` on that may have flows, or nil when there is none.
  func occupiedGroup(from group: UInt64) -> UInt64? {
    var word = Int(truncatingIfNeeded: group >> 6)
    guard group < groupCount else { return nil }
    // Safe: `word` stays below `occupancyTop`, which is how many words there are, and the words behind have a bit for each.
    let rest = occupancy[word] & (.max &<< (group & 63))
    if rest != 0 { return UInt64(truncatingIfNeeded: word &* 64 &+ rest.trailingZeroBitCount) }
    word &+= 1
    while word < occupancyTop {
      let words = occupancy[occupancyTop &+ word >> 6] & (.max &<< UInt64(truncatingIfNeeded: word & 63))
      if words != 0 {
        word = word & ~63 &+ words.trailingZeroBitCount
        guard word < occupancyTop else { return nil }
        if occupancy[word] != 0 {
          return UInt64(truncatingIfNeeded: word &* 64 &+ occupancy[word].trailingZeroBitCount)
        }
        word &+= 1
      } else {
        word = (word | 63) &+ 1
      }
    }
    return nil
  }

  /// Whether something of `group`, which has flows, is due at `tick`.
  @inline(__always)
  func hasDue(group: UInt64, tick: UInt16) -> Bool {
    group < groupCount && Int16(bitPattern: earliest[Int(truncatingIfNeeded: group)] &- tick) <= 0
  }

  /// The numbers of the buckets of `group`.
  @inline(__always)
  func buckets(of group: UInt64) -> Range<UInt64> {
    let size = UInt64(FlowTable.groupSize)
    return Range(uncheckedBounds: (group &* size, (group &+ 1) &* size))
  }

  /// How many groups from `group` on, at most `limit`, have nothing due at `tick`.
  @inline(__always)
  func groupsWaiting(from group: UInt64, atMost limit: UInt64, tick: UInt16) -> UInt64 {
    guard group <= groupCount, limit <= groupCount &- group else {
      noteFault()
      return limit
    }
    // Safe: the line above checked that the groups are the table's; eight more ticks lie behind them.
    return UInt64(
      martlet_count_waiting(
        earliest + Int(truncatingIfNeeded: group), UInt32(truncatingIfNeeded: limit), tick))
  }

  /// The buckets of `group`, one behind the other; with a fault, those of the first, where there is no such group.
  @inline(__always)
  private func lines(of group: UInt64) -> UnsafeMutableRawPointer {
    guard group < groupCount else {
      noteFault()
      return buckets
    }
    // Safe: the line above checked the group, whose buckets are 256 bytes.
    return buckets + Int(truncatingIfNeeded: group &* UInt64(FlowTable.groupSize * FlowTable.bucketSize))
  }

  /// Prefetches the buckets of `group`.
  @inline(__always)
  func prefetch(group: UInt64) {
    let lines = lines(of: group)
    martlet_prefetch(lines)
    martlet_prefetch(lines + 64)
    martlet_prefetch(lines + 128)
    martlet_prefetch(lines + 192)
  }

  /// The places of `group` that are in use; bit 8 b + l is lane l of its bucket b.
  @inline(__always)
  func lanes(of group: UInt64) -> UInt32 { martlet_group_occupied(lines(of: group)) }

  /// Those that are in use and due at `tick`.
  @inline(__always)
  func lanes(of group: UInt64, dueAt tick: UInt16) -> UInt32 { martlet_group_due(lines(of: group), tick) }

  /// The bucket of `group` in which `lane` of the group's is, 0 to 31.
  @inline(__always)
  func bucket(of group: UInt64, lane: Int) -> Bucket {
    Bucket(line: lines(of: group) + (lane &<< 3 & 0xC0))
  }

  /// Notes the first tick in which a bucket of `group` has something due, as the buckets' own say.
  @inline(__always)
  func settle(group: UInt64, tick: UInt16) {
    let lines = lines(of: group)
    let rest = martlet_group_earliest(lines, tick & ~1, Int16(2 * FlowTable.farthestTicks))
    guard group < groupCount else { return }
    // Safe: the group is the table's, and so are its bits.
    let number = Int(truncatingIfNeeded: group)
    earliest[number] = tick & ~1 &+ UInt16(bitPattern: rest)
    // What is due sooner than the farthest is of a flow.
    guard rest == Int16(2 * FlowTable.farthestTicks), martlet_group_occupied(lines) == 0 else { return }
    occupancy[number >> 6] &= ~(1 &<< (group & 63))
    if occupancy[number >> 6] == 0 {
      occupancy[occupancyTop &+ number >> 12] &= ~(1 &<< (group >> 6 & 63))
    }
  }

  /// The table is empty: nothing is due for as long as can be said.
  func settleAll(tick: UInt16) {
    let last = tick & ~1 &+ UInt16(2 * FlowTable.farthestTicks)
    var group = 0
    while group < Int(truncatingIfNeeded: groupCount) {
      // Safe: there is a tick for each group.
      earliest[group] = last
      group &+= 1
    }
  }
}

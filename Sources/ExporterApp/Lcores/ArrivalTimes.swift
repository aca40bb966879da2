// When the packets of one burst arrived. A burst is found when it is polled for, and its packets came before that: where the
// device does not say when, they are put apart by at least the time that they took on the wire, because the gaps between
// packets are what models learn from.
import CDPDK
import FlowCore

/// The times of a burst's packets.
struct ArrivalTimes: BitwiseCopyable {
  /// Nanoseconds since 1970, one for each packet of the burst.
  let times: UnsafeMutablePointer<UInt64>
  /// Where drivers put a packet's time in the mbuf, and the flag of those that have one.
  private let offset: Int32
  private let flag: UInt64

  /// Octets on the wire around each frame: check sequence, preamble and gap (IEEE 802.3).
  static let overhead: UInt64 = 24
  /// Octets on the wire of the shortest frame with what is around it: 64 + 20.
  static let least: UInt64 = 84

  /// Room for `burst` packets; lives until the process ends.
  init(burst: Int, field: TimestampField? = nil) {
    times = .allocate(capacity: burst)
    times.initialize(repeating: 0, count: burst)
    offset = field?.offset ?? 0
    flag = field?.flag ?? 0
  }

  /// The last packet came at `now`, the others earlier by the time on the wire of those behind them. Where that would lead
  /// beyond `floor` (not after `now`), they share the time since then.
  ///
  /// - Parameters:
  ///   - octets: what all frames together have at least on the wire, or 0.
  ///   - octetPrice: nanoseconds for each octet, as 48.16 fixed point.
  @inline(__always)
  func spread(
    _ frames: UnsafePointer<Frame>, count: Int, octets: UInt64, now: UInt64, floor: UInt64, octetPrice: UInt64
  ) {
    // A worker with much to do polls more often than the burst is long: that is known without a look at each frame.
    let front = UInt64(frames[0].wire) &+ Self.overhead
    if octets > front, ((octets &- front) &* octetPrice) &>> 16 > now &- floor {
      return share(count, now: now, room: now &- floor)
    }
    var behind: UInt64 = 0
    var index = count &- 1
    while index >= 0 {
      times[index] = now &- behind
      behind &+= Self.duration(frames[index], octetPrice)
      index &-= 1
    }
    if now &- times[0] > now &- floor { share(count, now: now, room: now &- floor) }
  }

  /// How long the frame takes on the wire: nanoseconds, rounded up.
  @inline(__always)
  private static func duration(_ frame: Frame, _ octetPrice: UInt64) -> UInt64 {
    (max(least, UInt64(frame.wire) &+ overhead) &* octetPrice &+ 0xffff) &>> 16
  }

  /// Puts the packets into the last `room` nanoseconds before `now`, equally far apart.
  @inline(never)
  private func share(_ count: Int, now: UInt64, room: UInt64) {
    let step = room / UInt64(truncatingIfNeeded: max(1, count))
    var time = now &- step &* UInt64(truncatingIfNeeded: count &- 1)
    var index = 0
    while index < count {
      times[index] = time
      time &+= step
      index &+= 1
    }
  }

  /// What is known of the device's times of a burst that is being read: whether all are there and near the lcore's time is
  /// found out for all at once.
  struct Reading: BitwiseCopyable {
    /// The device's clock.
    let clock: DeviceClock
    /// The latest time that can be.
    let latest: UInt64
    /// The flag, as long as all packets have it.
    fileprivate var flag: UInt64
    /// All bits of how much earlier than `latest` they came.
    fileprivate var delays: UInt64 = 0
  }

  /// Begins a burst that was found when the lcore's clock showed `now`.
  @inline(__always)
  func reading(now: UInt64, clock: DeviceClock) -> Reading {
    Reading(clock: clock, latest: now &+ DeviceClock.tolerance, flag: flag)
  }

  /// Takes the time that the device gave to the packet `index` of the burst, whether it can be or not.
  @inline(__always)
  func read(_ mbuf: OpaquePointer?, _ index: Int, _ reading: inout Reading) {
    reading.flag &= martlet_mbuf_flags(mbuf)
    let time = reading.clock.time(at: martlet_mbuf_field(mbuf, offset))
    reading.delays |= reading.latest &- time
    times[index] = time
  }

  /// Ends a burst; returns for how many packets the device gave no time, or one that cannot be: they are `unknown` then.
  @inline(__always)
  func finish(_ reading: Reading, _ mbufs: UnsafePointer<OpaquePointer?>, count: Int) -> Int {
    if reading.flag != 0, reading.delays < DeviceClock.longestDelay { return 0 }
    return readEach(mbufs, count: count, now: reading.latest &- DeviceClock.tolerance, clock: reading.clock)
  }

  /// Looks at each packet of a burst that has something the matter.
  @inline(never)
  private func readEach(_ mbufs: UnsafePointer<OpaquePointer?>, count: Int, now: UInt64, clock: DeviceClock)
    -> Int
  {
    var unknown = 0
    var index = 0
    while index < count {
      let mbuf = mbufs[index]
      let isTimed = martlet_mbuf_flags(mbuf) & flag != 0
      times[index] =
        isTimed ? clock.believed(martlet_mbuf_field(mbuf, offset), now: now) : DeviceClock.unknown
      if times[index] == DeviceClock.unknown { unknown &+= 1 }
      index &+= 1
    }
    return unknown
  }

  /// Takes the times that the device read from a file, `unknown` for those that cannot be; returns how many these are.
  @inline(never)
  func readFile(_ mbufs: UnsafePointer<OpaquePointer?>, count: Int, clock: DeviceClock) -> Int {
    var unknown = 0
    var index = 0
    while index < count {
      let mbuf = mbufs[index]
      let isTimed = martlet_mbuf_flags(mbuf) & flag != 0
      times[index] = isTimed ? clock.ofFile(martlet_mbuf_field(mbuf, offset)) : DeviceClock.unknown
      if times[index] == DeviceClock.unknown { unknown &+= 1 }
      index &+= 1
    }
    return unknown
  }

  /// Gives packets without a time one: before the packet behind by the time which that took on the wire (the last at `now`),
  /// but not before the packet in front, nor before `floor`.
  @inline(never)
  func fill(_ frames: UnsafePointer<Frame>, count: Int, now: UInt64, floor: UInt64, octetPrice: UInt64) {
    var front = floor
    var index = 0
    while index < count {
      if times[index] == DeviceClock.unknown {
        times[index] = max(front, bound(frames, index, count: count, now: now, octetPrice: octetPrice))
      }
      front = times[index]
      index &+= 1
    }
  }

  /// The latest time that packet `index` can have come: counted back from the next one that has a time.
  private func bound(
    _ frames: UnsafePointer<Frame>, _ index: Int, count: Int, now: UInt64, octetPrice: UInt64
  ) -> UInt64 {
    var behind: UInt64 = 0
    var next = index &+ 1
    while next < count {
      behind &+= Self.duration(frames[next], octetPrice)
      if times[next] != DeviceClock.unknown { return Self.before(times[next], behind) }
      next &+= 1
    }
    return Self.before(now, behind)
  }

  /// `span` nanoseconds before `time`, but not before 1970, where files may begin.
  @inline(__always)
  private static func before(_ time: UInt64, _ span: UInt64) -> UInt64 {
    time > span ? time &- span : 0
  }
}

/// Where drivers put packets' times.
struct TimestampField: BitwiseCopyable {
  /// Bytes from the mbuf's start.
  let offset: Int32
  /// The bit of packets that have a time.
  let flag: UInt64

  /// The field that every driver uses; nil where mbufs have no room for it.
  init?() {
    var offset: Int32 = 0
    var flag: UInt64 = 0
    guard martlet_timestamp_register(&offset, &flag) else { return nil }
    self.offset = offset
    self.flag = flag
  }
}

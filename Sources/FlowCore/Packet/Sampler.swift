// How a worker chooses packets or flows, where not all are looked at.

/// A worker's choice of packets. Workers choose each for themselves among the packets of their queues.
struct Sampler: ~Copyable {
  private(set) var sampling: Sampling
  /// Those of a burst that were chosen, with their times and what the clock showed.
  let frames: UnsafeMutablePointer<Frame>
  let times: UnsafeMutablePointer<UInt64>
  let clocks: UnsafeMutablePointer<UInt64>
  /// The place of the next packet among N, and of the one that is chosen.
  private var place: UInt32 = 0
  private var chosen: UInt32 = 0
  private var random: SplitMix64
  /// Make another hash of a flow's: one that says nothing of its bucket, nor of the NIC's choice of a queue.
  private let secrets: (UInt64, UInt64)

  /// - Parameters:
  ///   - burst: the most frames at once.
  ///   - seed: of what is chosen by chance; the same gives the same choice.
  init(_ sampling: Sampling, burst: Int, seed: UInt64) {
    self.sampling = sampling
    frames = .allocate(capacity: burst)
    times = .allocate(capacity: burst)
    clocks = .allocate(capacity: burst)
    // Another stream than the flow hash's, which begins with the seed itself.
    random = SplitMix64(state: seed ^ 0x5341_4D50_4C49_4E47)
    secrets = (random.next(), random.next() | 1)
    choose()
  }

  deinit {
    frames.deallocate()
    times.deallocate()
    clocks.deallocate()
  }

  /// Chooses otherwise from the next packet on, as if that were the first one. Flows are those that were chosen before where their
  /// number is the same.
  mutating func replace(by sampling: Sampling) {
    self.sampling = sampling
    place = 0
    choose()
  }

  /// Chooses the next of N packets.
  private mutating func choose() {
    chosen = sampling.method == .random ? random.below(sampling.interval) : 0
  }

  /// Copies what is chosen of a burst; returns how many frames that are. `left` gets the octets on the wire of the others.
  @inline(never)
  mutating func select(
    _ burst: UnsafePointer<Frame>, count: Int, times: UnsafePointer<UInt64>, clocks: UnsafePointer<UInt64>,
    left: inout UInt64
  ) -> Int {
    var kept = 0
    var index = 0
    while index < count {
      if place == chosen {
        // Safe: no more are copied than there are, and they are at most a burst.
        frames[kept] = burst[index]
        self.times[kept] = times[index]
        self.clocks[kept] = clocks[index]
        kept &+= 1
      } else {
        left &+= UInt64(burst[index].wire)
      }
      place &+= 1
      if place >= sampling.interval {
        place = 0
        choose()
      }
      index &+= 1
    }
    return kept
  }

  /// Leaves the packets of chosen flows in front, from `packets` on; returns the end of them. `left` gets the octets on the wire
  /// of the others.
  @inline(never)
  func select(
    _ packets: UnsafeMutablePointer<Packet>, to end: UnsafeMutablePointer<Packet>, left: inout UInt64
  ) -> UnsafeMutablePointer<Packet> {
    var kept = packets
    var packet = packets
    while packet != end {
      if isChosen(packet.pointee.hash) {
        if kept != packet { kept.pointee = packet.pointee }
        kept += 1
      } else {
        left &+= UInt64(packet.pointee.wire)
      }
      packet += 1
    }
    return kept
  }

  /// Whether the flow with this hash is one of N.
  @inline(__always)
  func isChosen(_ hash: UInt64) -> Bool {
    let product = (hash ^ secrets.0).multipliedFullWidth(by: secrets.1)
    let mixed = (product.high ^ product.low) &>> 32
    return (mixed &* UInt64(sampling.interval)) &>> 32 == 0
  }
}

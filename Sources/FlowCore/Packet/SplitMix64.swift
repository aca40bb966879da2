// Numbers for what is to look like chance and to repeat with its seed: the flow hash's secrets, and samples.

/// Random numbers that repeat with their seed (Steele, Lea, Flood 2014).
struct SplitMix64: BitwiseCopyable {
  var state: UInt64

  /// The next number.
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word &>> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word &>> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word &>> 31
  }

  /// A number less than `limit`, each as likely as the others to 1 in 2^32.
  mutating func below(_ limit: UInt32) -> UInt32 {
    UInt32(truncatingIfNeeded: ((next() &>> 32) &* UInt64(limit)) &>> 32)
  }
}

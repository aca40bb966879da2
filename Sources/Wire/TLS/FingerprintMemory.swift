// Digests that were made lately. Most hellos of a network come from a few programs, each of which offers the same numbers
// again and again: what these come to need not be hashed for every connection.

extension TLS {
  /// What the fingerprints of a worker's hellos remember: digests, each under the numbers that it is made of.
  ///
  /// The numbers are compared in full, so that what is found is what would be computed. A key may stand in two places, and
  /// the older of two digests makes room: whoever sends many different hellos makes others' be hashed again, no more.
  ///
  ///      0  length 2    bytes of the key's numbers, 0 where the place is free
  ///      2  digest 16   MD5 of a JA3, or the twelve digits of a part of a JA4
  ///     18  key ≤ 232   numbers of 16 bits, and zeros to the end of a word of 64 bits
  package struct FingerprintMemory: BitwiseCopyable {
    package typealias Digest = InlineArray<16, UInt8>

    /// Pairs of places.
    private static var pairs: UInt64 { 128 }
    private static var placeSize: Int { 256 }
    private static var digestOffset: Int { 2 }
    private static var keyOffset: Int { 18 }
    fileprivate static var longestKey: Int { 232 }
    /// The key under way lies behind the places.
    private static var scratchOffset: Int { Int(pairs) &* 2 &* placeSize }
    private static var size: Int { scratchOffset &+ placeSize }

    private let base: UnsafeMutableRawPointer
    // Safe: the memory has `size` bytes until `free`.
    private var memory: MutableBytes { MutableBytes(base, count: FingerprintMemory.size) }

    /// An empty memory of 64 KiB, to be freed by `free`.
    package init() {
      base = .allocate(byteCount: FingerprintMemory.size, alignment: 64)
      // Safe: as many bytes were allocated.
      base.initializeMemory(as: UInt8.self, repeating: 0, count: FingerprintMemory.size)
    }

    package func free() { base.deallocate() }

    /// An empty key; the one before it is no longer there.
    @inline(__always)
    package func key(_ kind: FingerprintKey.Kind) -> FingerprintKey {
      var key = FingerprintKey(memory.dropFirst(FingerprintMemory.scratchOffset))
      key.append(kind.rawValue)
      return key
    }

    /// The digest under `key`, or nil.
    /// - Complexity: O(bytes of the key)
    @inline(never)
    package func find(_ key: FingerprintKey) -> Digest? {
      guard key.isWhole else { return nil }
      let first = firstPlace(key)
      if first.load(UInt16.self, at: 0) == key.length, isEqual(key, first) { return digest(first) }
      let second = first.dropFirst(FingerprintMemory.placeSize)
      if second.load(UInt16.self, at: 0) == key.length, isEqual(key, second) { return digest(second) }
      return nil
    }

    /// Remembers a digest under `key`, for which `find` found none.
    @inline(never)
    package func remember(_ digest: Digest, _ key: FingerprintKey) {
      guard key.isWhole else { return }
      let first = firstPlace(key)
      // Safe: the pair's own bytes, moved from its first place to its second.
      first.copy(first.prefix(FingerprintMemory.placeSize), to: FingerprintMemory.placeSize)
      first.store(key.length, at: 0)
      first.store(digest, at: FingerprintMemory.digestOffset)
      first.copy(key.bytes, to: FingerprintMemory.keyOffset)
    }

    private func digest(_ place: MutableBytes) -> Digest {
      place.load(Digest.self, at: FingerprintMemory.digestOffset)
    }

    /// The first place of the pair for `key`, and all that is behind it.
    private func firstPlace(_ key: FingerprintKey) -> MutableBytes {
      var hash: UInt64 = 0
      var offset = 0
      while offset < key.wholeLength {
        hash = (hash ^ key.memory.load(UInt64.self, at: offset)) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash &>> 32
        offset &+= 8
      }
      let pair = Int(truncatingIfNeeded: hash % FingerprintMemory.pairs)
      return memory.dropFirst(pair &* 2 &* FingerprintMemory.placeSize)
    }

    private func isEqual(_ key: FingerprintKey, _ place: MutableBytes) -> Bool {
      var offset = 0
      var difference: UInt64 = 0
      while offset < key.wholeLength {
        difference |=
          key.memory.load(UInt64.self, at: offset)
          ^ place.load(UInt64.self, at: FingerprintMemory.keyOffset &+ offset)
        offset &+= 8
      }
      return difference == 0
    }
  }

  /// The numbers that a digest is made of, in order. They are compared by words of eight bytes, with zeros at the end: 0 is a
  /// number, too (`server_name` is extension 0), so that the length tells how many there are.
  package struct FingerprintKey {
    /// What the numbers are.
    package enum Kind: UInt16 {
      case client
      case server
      case cipherSuites
      case extensions
    }

    fileprivate let memory: MutableBytes
    private var used = 0

    fileprivate init(_ memory: MutableBytes) { self.memory = memory }

    /// Adds a number; beyond the longest key it is only counted.
    @inline(__always)
    package mutating func append(_ number: UInt16) {
      // Zeros behind it make the last word whole.
      if used &+ 8 <= FingerprintMemory.longestKey { memory.store(UInt64(number), at: used) }
      used &+= 2
    }

    /// Ends a list: GREASE is in none, so that it can part them.
    @inline(__always)
    package mutating func endList() { append(0x0A0A) }

    /// Adds the numbers of a list that are no GREASE; returns how many.
    @inline(__always) @discardableResult
    package mutating func append(_ numbers: NumberList) -> Int {
      let before = used
      var index = 0
      while index < numbers.count {
        let number = numbers[index]
        index &+= 1
        if !isGrease(number) { append(number) }
      }
      return (used &- before) / 2
    }

    /// Adds the types of extensions that are no GREASE.
    @inline(__always)
    package mutating func appendTypes(_ extensions: Bytes) {
      var reader = ExtensionReader(extensions)
      while let (type, _) = reader.next() {
        if !isGrease(type) { append(type) }
      }
    }

    /// Whether all numbers found room.
    fileprivate var isWhole: Bool { used &+ 6 <= FingerprintMemory.longestKey }
    /// The bytes of the numbers.
    fileprivate var length: UInt16 { UInt16(truncatingIfNeeded: used) }
    /// The bytes of the words that they are in.
    fileprivate var wholeLength: Int { (used &+ 7) & ~7 }
    fileprivate var bytes: Bytes { memory.prefix(wholeLength) }
  }
}

// JA4 (FoxIO, technical_details/JA4.md): what a hello offers, in text that people can read and compare.

extension TLS {
  /// Numbers of a hello to be sorted: cipher suites or extensions, as many as a hello with a fingerprint can have.
  package struct SortedNumbers<let capacity: Int>: ~Copyable {
    private var numbers = InlineArray<capacity, UInt16>(repeating: 0)
    /// The numbers half sorted.
    private var others = InlineArray<capacity, UInt16>(repeating: 0)
    package private(set) var count = 0

    /// Adds a number; one beyond `FingerprintLimit`, for which there is no room, is left out.
    @inline(__always)
    package mutating func append(_ number: UInt16) {
      guard count < capacity else { return }
      numbers[total: count] = number
      count &+= 1
    }

    package subscript(index: Int) -> UInt16 { numbers[total: index] }

    /// Adds all numbers to a key.
    package func append(to key: inout FingerprintKey) {
      var index = 0
      while index < count {
        key.append(numbers[total: index])
        index &+= 1
      }
    }

    /// Sorts: by insertion where there are few, as nearly always, else by both octets (radix), so that the most there can be
    /// cost as many steps as they are.
    package mutating func sort() {
      guard count > 32 else { return insertionSort() }
      let count = count
      // By views of the arrays' memory: through its own subscript a long array is copied for each number.
      withUnsafeMutableBytes(of: &numbers) { numbers in
        withUnsafeMutableBytes(of: &others) { others in
          guard let numbers = NumberView(numbers), let others = NumberView(others) else { return }
          var low = InlineArray<256, UInt16>(repeating: 0)
          var high = InlineArray<256, UInt16>(repeating: 0)
          withUnsafeMutableBytes(of: &low) { low in
            withUnsafeMutableBytes(of: &high) { high in
              guard let low = NumberView(low), let high = NumberView(high) else { return }
              Self.sort(numbers, others, low, high, count: count)
            }
          }
        }
      }
    }

    /// Sorts `count` numbers by way of as many `others`; `low` and `high` are 256 zeros each.
    @inline(__always)
    private static func sort(
      _ numbers: NumberView, _ others: NumberView, _ low: NumberView, _ high: NumberView, count: Int
    ) {
      // First how many have each octet, then where the next one with it goes.
      var index = 0
      while index < count {
        let number = Int(numbers[index])
        low[number & 0xFF] &+= 1
        high[number &>> 8] &+= 1
        index &+= 1
      }
      var (lowSum, highSum): (UInt16, UInt16) = (0, 0)
      index = 0
      while index < 256 {
        let (lowCount, highCount) = (low[index], high[index])
        low[index] = lowSum
        high[index] = highSum
        lowSum &+= lowCount
        highSum &+= highCount
        index &+= 1
      }
      // Equal octets stay in the order that they had.
      index = 0
      while index < count {
        let number = numbers[index]
        let octet = Int(number) & 0xFF
        let place = low[octet]
        others[Int(place)] = number
        low[octet] = place &+ 1
        index &+= 1
      }
      index = 0
      while index < count {
        let number = others[index]
        let octet = Int(number) &>> 8
        let place = high[octet]
        numbers[Int(place)] = number
        high[octet] = place &+ 1
        index &+= 1
      }
    }

    private mutating func insertionSort() {
      var index = 1
      while index < count {
        let number = numbers[total: index]
        var place = index
        while place >= 1, numbers[total: place &- 1] > number {
          numbers[total: place] = numbers[total: place &- 1]
          place &-= 1
        }
        numbers[total: place] = number
        index &+= 1
      }
    }
  }

  /// A view of an array of 16-bit numbers in memory, total like `MutableBytes`, but in the machine's own order of octets.
  private struct NumberView {
    private let base: UnsafeMutableRawPointer
    private let count: Int

    /// The numbers of a block; nil for no block.
    @inline(__always)
    init?(_ memory: UnsafeMutableRawBufferPointer) {
      guard let base = memory.baseAddress else { return nil }
      self.base = base
      count = memory.count / 2
    }

    /// The number at `index`; outside 0 is read, nothing is written, and either is a fault.
    @inline(__always)
    subscript(index: Int) -> UInt16 {
      get {
        guard UInt(bitPattern: index) < UInt(bitPattern: count) else {
          noteFault()
          return 0
        }
        // Safe: the line above checked the index.
        return base.load(fromByteOffset: index &* 2, as: UInt16.self)
      }
      nonmutating set {
        guard UInt(bitPattern: index) < UInt(bitPattern: count) else { return noteFault() }
        // Safe: the line above checked the index.
        base.storeBytes(of: newValue, toByteOffset: index &* 2, as: UInt16.self)
      }
    }
  }

  /// The fingerprint of a ClientHello:
  ///
  ///     t13d1516h2_8daaf6152771_e5627efa2ab1
  ///     | | | | |  |            12 digits of the SHA-256 of the sorted extensions and the signature algorithms
  ///     | | | | |  12 digits of the SHA-256 of the sorted cipher suites
  ///     | | | | first and last character of the first protocol offered by ALPN
  ///     | | | two digits each: how many cipher suites and extensions, GREASE left out
  ///     | | d with server name, i without
  ///     | newest version offered
  ///     t TLS, d DTLS, q QUIC
  package enum JA4 {
    package typealias Fingerprint = InlineArray<36, UInt8>
    private static let comma: UInt8 = 0x2C
    private static let underscore: UInt8 = 0x5F

    /// The fingerprint of a hello within `FingerprintLimit`.
    package static func fingerprint(_ hello: ClientHello, transport: Transport, _ memory: FingerprintMemory)
      -> Fingerprint
    {
      var text = Fingerprint(repeating: 0)
      text[0] = transport.rawValue
      (text[1], text[2]) = Version.label(hello.version)
      text[3] = hello.hasServerName ? 0x64 : 0x69
      let (suites, suiteCount) = hashOfCipherSuites(hello, memory)
      let (extensions, extensionCount) = hashOfExtensions(hello, memory)
      (text[4], text[5]) = twoDigits(suiteCount)
      (text[6], text[7]) = twoDigits(extensionCount)
      (text[8], text[9]) = protocolCharacters(hello.firstProtocol)
      text[10] = underscore
      text[23] = underscore
      var index = 0
      while index < 12 {
        text[total: 11 &+ index] = suites[total: index]
        text[total: 24 &+ index] = extensions[total: index]
        index &+= 1
      }
      return text
    }

    /// The hash of the sorted cipher suites, in twelve digits, and how many there are.
    @inline(__always)
    private static func hashOfCipherSuites(_ hello: ClientHello, _ memory: FingerprintMemory) -> (
      digits: FingerprintMemory.Digest, count: Int
    ) {
      // In the client's order, which is always the same: sorting is for those that are new.
      var key = memory.key(.cipherSuites)
      let count = key.append(hello.cipherSuites)
      if let known = memory.find(key) { return (known, count) }
      let made = hash(of: hello.cipherSuites)
      memory.remember(made, key)
      return (made, count)
    }

    /// The hash of the sorted extensions and the signature algorithms, in twelve digits, and how many extensions there are.
    @inline(__always)
    private static func hashOfExtensions(_ hello: ClientHello, _ memory: FingerprintMemory) -> (
      digits: FingerprintMemory.Digest, count: Int
    ) {
      var types = SortedNumbers<128>()
      // Server name and ALPN are counted, but not hashed: the first part of the text tells of them.
      var count = 0
      var reader = ExtensionReader(hello.extensions)
      while let (type, _) = reader.next() {
        guard !isGrease(type) else { continue }
        count &+= 1
        guard type != ExtensionType.serverName, type != ExtensionType.protocols else { continue }
        types.append(type)
      }
      // Sorted first: browsers send their extensions in another order each time.
      types.sort()
      var key = memory.key(.extensions)
      types.append(to: &key)
      key.endList()
      key.append(hello.signatureAlgorithms)
      if let known = memory.find(key) { return (known, count) }
      var text = digest(types, hello.signatureAlgorithms)
      let made = digits(&text)
      memory.remember(made, key)
      return (made, count)
    }

    /// The hash of cipher suites.
    @inline(never)
    private static func hash(of suites: NumberList) -> FingerprintMemory.Digest {
      var sorted = SortedNumbers<128>()
      var index = 0
      while index < suites.count {
        let suite = suites[index]
        index &+= 1
        if !isGrease(suite) { sorted.append(suite) }
      }
      sorted.sort()
      var text = digest(sorted)
      return digits(&text)
    }

    private static func digest<let capacity: Int>(_ numbers: borrowing SortedNumbers<capacity>)
      -> DigestText<SHA256>
    {
      var text = DigestText<SHA256>()
      var index = 0
      while index < numbers.count {
        let number = numbers[index]
        if index > 0 { text.append(comma, hexadecimal: number) } else { text.appendHexadecimal(number) }
        index &+= 1
      }
      return text
    }

    private static func digest<let capacity: Int>(
      _ extensions: borrowing SortedNumbers<capacity>, _ algorithms: NumberList
    ) -> DigestText<SHA256> {
      var text = digest(extensions)
      var separator = underscore
      var index = 0
      while index < algorithms.count {
        let algorithm = algorithms[index]
        index &+= 1
        guard !isGrease(algorithm) else { continue }
        text.append(separator, hexadecimal: algorithm)
        separator = comma
      }
      return text
    }

    /// The hash's first twelve digits, or twelve zeros where nothing was hashed.
    private static func digits(_ hash: inout DigestText<SHA256>) -> FingerprintMemory.Digest {
      var digits = FingerprintMemory.Digest(repeating: 0x30)
      guard !hash.isEmpty else { return digits }
      let digest = hash.finish()
      var index = 0
      while index < 6 {
        digits[total: 2 &* index] = hexadecimalDigit(digest[total: index] >> 4)
        digits[total: 2 &* index &+ 1] = hexadecimalDigit(digest[total: index])
        index &+= 1
      }
      return digits
    }

    private static func twoDigits(_ number: Int) -> (UInt8, UInt8) {
      let shown = UInt8(truncatingIfNeeded: max(0, min(number, 99)))
      return (0x30 &+ shown / 10, 0x30 &+ shown % 10)
    }

    /// The first and last character of a protocol's name, `00` without one; of its hexadecimal digits where one of the two
    /// is neither letter nor digit.
    private static func protocolCharacters(_ name: Bytes) -> (UInt8, UInt8) {
      guard name.count > 0 else { return (0x30, 0x30) }
      let first = name[0]
      let last = name[name.count &- 1]
      guard isAlphanumeric(first), isAlphanumeric(last) else {
        return (hexadecimalDigit(first >> 4), hexadecimalDigit(last))
      }
      return (first, last)
    }

    private static func isAlphanumeric(_ character: UInt8) -> Bool {
      switch character {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
      default: false
      }
    }
  }
}

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
    package static func fingerprint(_ hello: ClientHello, transport: Transport) -> Fingerprint {
      var ciphers = SortedNumbers<128>()
      var extensions = SortedNumbers<128>()
      return fingerprint(hello, transport: transport, &ciphers, &extensions)
    }

    /// The fingerprint, by means of two empty lists.
    private static func fingerprint<let capacity: Int>(
      _ hello: ClientHello, transport: Transport, _ ciphers: inout SortedNumbers<capacity>,
      _ extensions: inout SortedNumbers<capacity>
    ) -> Fingerprint {
      var index = 0
      while index < hello.cipherSuites.count {
        let suite = hello.cipherSuites[index]
        index &+= 1
        if !isGrease(suite) { ciphers.append(suite) }
      }
      ciphers.sort()
      // Server name and ALPN are counted, but not hashed: the first part of the text tells of them.
      var extensionCount = 0
      var reader = ExtensionReader(hello.extensions)
      while let (type, _) = reader.next() {
        guard !isGrease(type) else { continue }
        extensionCount &+= 1
        guard type != ExtensionType.serverName, type != ExtensionType.protocols else { continue }
        extensions.append(type)
      }
      extensions.sort()

      var text = Fingerprint(repeating: 0)
      text[0] = transport.rawValue
      (text[1], text[2]) = Version.label(hello.version)
      text[3] = hello.hasServerName ? 0x64 : 0x69
      (text[4], text[5]) = twoDigits(ciphers.count)
      (text[6], text[7]) = twoDigits(extensionCount)
      (text[8], text[9]) = protocolCharacters(hello.firstProtocol)
      text[10] = underscore
      var hash = digest(ciphers)
      copyHash(&hash, to: 11, of: &text)
      text[23] = underscore
      hash = digest(extensions, hello.signatureAlgorithms)
      copyHash(&hash, to: 24, of: &text)
      return text
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

    /// Twelve digits of the hash, or twelve zeros where nothing was hashed.
    private static func copyHash<let count: Int>(
      _ hash: inout DigestText<SHA256>, to offset: Int, of text: inout InlineArray<count, UInt8>
    ) {
      let isEmpty = hash.isEmpty
      let digest = hash.finish()
      for index in 0..<6 {
        text[total: offset &+ 2 &* index] = isEmpty ? 0x30 : hexadecimalDigit(digest[total: index] >> 4)
        text[total: offset &+ 2 &* index &+ 1] = isEmpty ? 0x30 : hexadecimalDigit(digest[total: index])
      }
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

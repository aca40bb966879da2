// JA3 and JA3S: the MD5 of a hello's numbers in decimal (Salesforce, 2017).

extension TLS {
  /// The text is `version,ciphers,extensions,groups,point formats` for a client and `version,cipher,extensions` for a server;
  /// numbers of a list are joined by `-`, GREASE is left out, and a list that is missing is empty.
  package enum JA3 {
    package typealias Fingerprint = FingerprintMemory.Digest

    package static func fingerprint(_ hello: ClientHello, _ memory: FingerprintMemory) -> Fingerprint {
      var key = memory.key(.client)
      key.append(hello.legacyVersion)
      key.append(hello.cipherSuites)
      key.endList()
      key.appendTypes(hello.extensions)
      key.endList()
      key.append(hello.groups)
      key.endList()
      var index = 0
      while index < hello.pointFormats.count {
        key.append(UInt16(hello.pointFormats[index]))
        index &+= 1
      }
      if let known = memory.find(key) { return known }
      let made = digest(hello)
      memory.remember(made, key)
      return made
    }

    package static func fingerprint(_ hello: ServerHello, _ memory: FingerprintMemory) -> Fingerprint {
      var key = memory.key(.server)
      key.append(hello.legacyVersion)
      key.append(hello.cipherSuite)
      key.appendTypes(hello.extensions)
      if let known = memory.find(key) { return known }
      let made = digest(hello)
      memory.remember(made, key)
      return made
    }

    @inline(never)
    private static func digest(_ hello: ClientHello) -> Fingerprint {
      var text = DigestText<MD5>()
      text.appendDecimal(hello.legacyVersion)
      text.append(comma)
      append(hello.cipherSuites, to: &text)
      text.append(comma)
      appendTypes(hello.extensions, to: &text)
      text.append(comma)
      append(hello.groups, to: &text)
      text.append(comma)
      var index = 0
      while index < hello.pointFormats.count {
        let format = UInt16(hello.pointFormats[index])
        if index > 0 { text.append(dash, decimal: format) } else { text.appendDecimal(format) }
        index &+= 1
      }
      return text.finish()
    }

    @inline(never)
    private static func digest(_ hello: ServerHello) -> Fingerprint {
      var text = DigestText<MD5>()
      text.appendDecimal(hello.legacyVersion)
      text.append(comma)
      text.appendDecimal(hello.cipherSuite)
      text.append(comma)
      appendTypes(hello.extensions, to: &text)
      return text.finish()
    }

    private static let comma: UInt8 = 0x2C
    private static let dash: UInt8 = 0x2D

    private static func append(_ numbers: NumberList, to text: inout DigestText<MD5>) {
      var isFirst = true
      var index = 0
      while index < numbers.count {
        let number = numbers[index]
        index &+= 1
        guard !isGrease(number) else { continue }
        if isFirst { text.appendDecimal(number) } else { text.append(dash, decimal: number) }
        isFirst = false
      }
    }

    private static func appendTypes(_ extensions: Bytes, to text: inout DigestText<MD5>) {
      var reader = ExtensionReader(extensions)
      var isFirst = true
      while let (type, _) = reader.next() {
        guard !isGrease(type) else { continue }
        if isFirst { text.appendDecimal(type) } else { text.append(dash, decimal: type) }
        isFirst = false
      }
    }
  }
}

// `--anonymise`: how addresses are made unrecognisable, and the file with the key.
import FlowCore
import Glibc
import Wire

/// What becomes of addresses in records.
public struct Anonymisation: Equatable, Sendable {
  /// How IP addresses are replaced.
  public enum Method: Equatable, Sendable {
    /// By Crypto-PAn with the key in this file.
    case cryptoPAn(keyFile: String)
    /// By 0 in all but so many of the first bits.
    case truncate(version4: Int, version6: Int)
  }

  public var method: Method
  /// MAC addresses become zeros.
  public var zeroesMAC = true
  /// Plugins that export payload or names may run.
  public var allowsContent = false

  /// Reads `cryptopan:KEYFILE` or `truncate:BITS,BITS`, with `,macs`, `,keep-macs` or `,force` behind it.
  public init(_ text: String) throws {
    let wanted = InvalidValue(
      "'\(text)' is not cryptopan:KEYFILE or truncate:24,64, with ,keep-macs or ,force behind it")
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else { throw wanted }
    var words = parts[1].split(separator: ",", omittingEmptySubsequences: false)
    reading: while let last = words.last, words.count > 1 {
      switch last {
      case "macs": zeroesMAC = true
      case "keep-macs": zeroesMAC = false
      case "force": allowsContent = true
      default: break reading
      }
      words.removeLast()
    }
    switch parts[0] {
    case "cryptopan":
      // A name may have commas.
      let name = words.joined(separator: ",")
      guard !name.isEmpty else { throw wanted }
      method = .cryptoPAn(keyFile: name)
    case "truncate":
      guard words.count == 2, let version4 = Self.bits(words[0], most: 32),
        let version6 = Self.bits(words[1], most: 128)
      else { throw wanted }
      method = .truncate(version4: version4, version6: version6)
    default: throw wanted
    }
  }

  private static func bits(_ text: Substring, most: Int) -> Int? {
    guard !text.isEmpty, text.allSatisfy({ $0.isASCII && $0.isNumber }), let bits = Int(text), bits <= most
    else { return nil }
    return bits
  }

  /// What records are to be given, with the key read.
  ///
  /// - Throws: a key that cannot be read, is none, or may be read by others.
  func masking() throws(Failure) -> AddressMasking {
    switch method {
    case .truncate(let version4, let version6): return .truncate(version4: version4, version6: version6)
    case .cryptoPAn(let name): return .cryptoPAn(key: try Self.key(in: name))
    }
  }

  /// The key in a file: 32 octets, or 64 hexadecimal digits.
  private static func key(in name: String) throws(Failure) -> [UInt8] {
    let octets: [UInt8]
    do {
      octets = try OrdinaryFile.contents(name) { status in
        guard status.st_mode & 0o077 != 0 else { return nil }
        let mode = String(status.st_mode & 0o777, radix: 8)
        return "it is open to others than its owner (mode \(mode)): chmod 600 it"
      }
    } catch {
      throw .general("--anonymise: key file \(name): \(error.reason)")
    }
    guard let key = Self.key(octets) else {
      throw .general(
        "--anonymise: key file \(name) has no key: 32 octets or 64 hexadecimal digits (as from: head -c 32 /dev/urandom)"
      )
    }
    return key
  }

  /// The key that these octets are.
  static func key(_ octets: [UInt8]) -> [UInt8]? {
    if octets.count == CryptoPAn.keyLength { return octets }
    var digits = octets
    while let last = digits.last, last == 0x0A || last == 0x0D { digits.removeLast() }
    guard digits.count == 2 * CryptoPAn.keyLength else { return nil }
    let numbers = digits.compactMap { UInt8(String(UnicodeScalar($0)), radix: 16) }
    guard numbers.count == digits.count else { return nil }
    return stride(from: 0, to: numbers.count, by: 2).map { numbers[$0] << 4 | numbers[$0 + 1] }
  }
}

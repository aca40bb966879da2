// A MaxMind database (`--mmdb`): country, autonomous system and its operator, by prefix. libmaxminddb reads it.
import CMaxMind
import FlowCore
import Glibc

/// An open database, which any thread may ask.
///
/// Safe between threads: libmaxminddb only reads what it has mapped, and nothing changes after `init`.
final class AddressDatabase: @unchecked Sendable {
  /// As the user wrote it.
  let path: String
  private let database: UnsafeMutablePointer<MMDB_s>

  /// More than any database has; a larger file is something else.
  private static let largestFile = 4 << 30

  /// Reads the file into memory and opens it there: what replaces or cuts off the file later does not matter.
  ///
  /// - Throws: a file that cannot be read or is no database.
  init(_ path: String) throws(Failure) {
    let copy = try Self.copy(path)
    defer { close(copy) }
    let made = UnsafeMutablePointer<MMDB_s>.allocate(capacity: 1)
    made.initialize(to: MMDB_s())
    let status = MMDB_open("/proc/self/fd/\(copy)", UInt32(MMDB_MODE_MMAP), made)
    guard status == MMDB_SUCCESS else {
      made.deallocate()
      throw .general(
        "--mmdb \(path) is not a MaxMind database: \(String(cString: MMDB_strerror(status))) "
          + "(give a .mmdb file, as GeoLite2-ASN.mmdb)")
    }
    database = made
    self.path = path
  }

  deinit {
    MMDB_close(database)
    database.deallocate()
  }

  /// The file in memory of its own.
  private static func copy(_ path: String) throws(Failure) -> Int32 {
    let source: Int32
    do { source = try OrdinaryFile.open(path) } catch {
      throw .general("--mmdb \(path): \(error.reason)")
    }
    defer { close(source) }
    let copy = martlet_memory_file("mmdb")
    guard copy >= 0 else { throw .general("--mmdb \(path): no memory for it: \(errorText(errno))") }
    var part = [UInt8](repeating: 0, count: 1 << 20)
    var length = 0
    while true {
      let count = part.withUnsafeMutableBytes { read(source, $0.baseAddress, $0.count) }
      if count == 0 { return copy }
      var failure = count < 0 ? errorText(errno) : nil
      length += max(0, count)
      if length > largestFile { failure = "larger than any database" }
      if failure == nil, part.withUnsafeBytes({ write(copy, $0.baseAddress, count) }) != count {
        failure = errorText(errno)
      }
      if let failure {
        close(copy)
        throw .general("--mmdb \(path): \(failure)")
      }
    }
  }

  /// What the database knows of an address. `errors` counts what is wrong in it: such values are as if they were not there.
  func facts(of address: IPAddress, errors: inout UInt64) -> AddressFacts {
    var facts = AddressFacts()
    var status = MMDB_SUCCESS
    var result = look(up: address, &status)
    // A database of IPv4 knows nothing of IPv6.
    if status == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR { return facts }
    guard status == MMDB_SUCCESS else {
      errors &+= 1
      facts.networkLength = address.isVersion6 ? 128 : 32
      return facts
    }
    // In a database of IPv6 an IPv4 address is one of 128 bits, the first 96 of which are 0.
    let isLonger = !address.isVersion6 && database.pointee.metadata.ip_version == 6
    facts.networkLength = UInt8(clamping: max(0, Int(result.netmask) &- (isLonger ? 96 : 0)))
    guard result.found_entry else { return facts }
    if !takeCountry(&result, LookupPath.country, &facts, &errors) {
      _ = takeCountry(&result, LookupPath.registeredCountry, &facts, &errors)
    }
    if let value = self.value(&result, LookupPath.asNumber, &errors) {
      if value.type == UInt32(MMDB_DATA_TYPE_UINT32) || value.type == UInt32(MMDB_DATA_TYPE_UINT16) {
        facts.asNumber = UInt32(truncatingIfNeeded: value.number)
      } else {
        errors &+= 1
      }
    }
    if let value = self.value(&result, LookupPath.asOrganisation, &errors) {
      if value.type == UInt32(MMDB_DATA_TYPE_UTF8_STRING), let text = value.text {
        // Safe: libmaxminddb has checked that so many octets are in the data section.
        facts.setOrganisation(UnsafeRawBufferPointer(start: text, count: Int(value.size)))
      } else {
        errors &+= 1
      }
    }
    return facts
  }

  private func look(up address: IPAddress, _ status: inout Int32) -> MMDB_lookup_result_s {
    if address.isVersion6 {
      var name = sockaddr_in6()
      name.sin6_family = sa_family_t(AF_INET6)
      // Safe: an IPv6 address has 16 octets.
      withUnsafeMutableBytes(of: &name.sin6_addr) {
        $0.storeBytes(of: address.high.bigEndian, toByteOffset: 0, as: UInt64.self)
        $0.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
      }
      // Safe: the family says which structure it is; it is there for the call.
      return withUnsafePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { MMDB_lookup_sockaddr(database, $0, &status) }
      }
    }
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = address.version4.bigEndian
    // Safe: as above.
    return withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { MMDB_lookup_sockaddr(database, $0, &status) }
    }
  }

  /// The value at the end of a path; nil where there is none.
  private func value(_ result: inout MMDB_lookup_result_s, _ path: LookupPath, _ errors: inout UInt64)
    -> martlet_mmdb_value?
  {
    var value = martlet_mmdb_value()
    guard martlet_mmdb_get(&result, path.names, &value) == MMDB_SUCCESS else {
      errors &+= 1
      return nil
    }
    return value.type == 0 ? nil : value
  }

  /// Takes a country's two letters; false where there is none.
  private func takeCountry(
    _ result: inout MMDB_lookup_result_s, _ path: LookupPath, _ facts: inout AddressFacts,
    _ errors: inout UInt64
  ) -> Bool {
    guard let value = self.value(&result, path, &errors) else { return false }
    guard value.type == UInt32(MMDB_DATA_TYPE_UTF8_STRING), value.size == 2, let text = value.text else {
      errors &+= 1
      return false
    }
    let (first, second) = (UInt8(bitPattern: text[0]), UInt8(bitPattern: text[1]))
    guard (0x41...0x5A).contains(first), (0x41...0x5A).contains(second) else {
      errors &+= 1
      return false
    }
    facts.country = UInt16(first) << 8 | UInt16(second)
    return true
  }
}

/// The keys that lead to a value in an entry, as libmaxminddb wants them.
///
/// Safe between threads: made once, and never changed.
private struct LookupPath: @unchecked Sendable {
  let names: UnsafePointer<UnsafePointer<CChar>?>

  private init(_ keys: [String]) {
    let memory = UnsafeMutablePointer<UnsafePointer<CChar>?>.allocate(capacity: keys.count + 1)
    for (index, key) in keys.enumerated() {
      (memory + index).initialize(to: strdup(key).map { UnsafePointer($0) })
    }
    (memory + keys.count).initialize(to: nil)
    names = UnsafePointer(memory)
  }

  static let country = LookupPath(["country", "iso_code"])
  static let registeredCountry = LookupPath(["registered_country", "iso_code"])
  static let asNumber = LookupPath(["autonomous_system_number"])
  static let asOrganisation = LookupPath(["autonomous_system_organization"])
}

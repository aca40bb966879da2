// What is known of an address besides what packets say: where it is, and whose. The export lcore looks it up (`--mmdb`).
import IPFIX
import Wire

/// What is known of an address.
public struct AddressFacts: BitwiseCopyable {
  /// The two letters of ISO 3166-1 in this order from the high octet on; 0 for none.
  public var country: UInt16 = 0
  /// The autonomous system that announces it; 0 for none.
  public var asNumber: UInt32 = 0
  /// How many of the address' first bits this is known of: all addresses that begin with them have the same.
  public var networkLength: UInt8 = 0
  /// Octets of `organisation` that are there.
  public var organisationLength: UInt8 = 0
  /// Who runs that system, in UTF-8.
  public var organisation = InlineArray<48, UInt8>(repeating: 0)

  public init() {}

  /// Nothing is known.
  public var isEmpty: Bool { country == 0 && asNumber == 0 && organisationLength == 0 }

  /// Takes what the other has and this has not; both are of one address.
  public mutating func complete(with other: AddressFacts) {
    networkLength = max(networkLength, other.networkLength)
    if country == 0 { country = other.country }
    if asNumber == 0, organisationLength == 0 {
      asNumber = other.asNumber
      organisationLength = other.organisationLength
      organisation = other.organisation
    }
  }

  /// Takes so many of a name's characters as there is room for.
  public mutating func setOrganisation(_ name: UnsafeRawBufferPointer) {
    var length = min(name.count, 48)
    // Not in the midst of a character: octets 10xxxxxx go on with one.
    if length < name.count { while length > 0, name[length] & 0xC0 == 0x80 { length &-= 1 } }
    organisationLength = UInt8(truncatingIfNeeded: length)
    for index in 0..<length { organisation[index] = name[index] }
  }
}

/// The elements of both sides.
enum FactElements {
  static let sourceAS = InformationElement(
    .iana, 16, "bgpSourceAsNumber", .unsigned32, semantics: .identifier)
  static let destinationAS = InformationElement(
    .iana, 17, "bgpDestinationAsNumber", .unsigned32, semantics: .identifier)
  static let sourceCountry = InformationElement(.martlet, 90, "sourceCountryCode", .string)
  static let destinationCountry = InformationElement(.martlet, 91, "destinationCountryCode", .string)
  static let sourceOrganisation = InformationElement(.martlet, 92, "sourceAsOrganization", .string)
  static let destinationOrganisation = InformationElement(.martlet, 93, "destinationAsOrganization", .string)
}

extension AddressFacts {
  /// Writes the three fields of one side.
  @inline(__always)
  func export<Writer: FieldWriter & ~Copyable>(
    _ asElement: InformationElement, _ countryElement: InformationElement,
    _ organisationElement: InformationElement, into writer: inout Writer
  ) {
    writer.unsigned32(asElement, asNumber)
    let letters: InlineArray<2, UInt8> = [
      UInt8(truncatingIfNeeded: country &>> 8), UInt8(truncatingIfNeeded: country),
    ]
    writer.string(countryElement, letters.span.bytes.extracting(first: country == 0 ? 0 : 2))
    writer.string(
      organisationElement, organisation.span.bytes.extracting(first: min(48, Int(organisationLength))))
  }
}

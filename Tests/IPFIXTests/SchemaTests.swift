// What --print-schema says of each kind of value.
import IPFIX
import Testing

@testable import Rendering

@Suite struct SchemaTests {
  private static let octets = InformationElement(
    .iana, 1, "octetDeltaCount", .unsigned64, semantics: .deltaCounter, units: .octets)
  private static let identifier = InformationElement(
    .iana, 148, "flowId", .unsigned64, semantics: .identifier)
  private static let flags = InformationElement(.iana, 6, "tcpControlBits", .unsigned16, isReverse: true)
  private static let version4 = InformationElement(.iana, 8, "sourceIPv4Address", .ipv4Address)
  private static let version6 = InformationElement(.iana, 27, "sourceIPv6Address", .ipv6Address)
  private static let start = InformationElement(.iana, 154, "flowStartMicroseconds", .dateTimeMicroseconds)
  private static let entropy = InformationElement(.martlet, 1, "entropy", .float32)
  private static let direction = InformationElement(.cesnet, 2, "packetDirection", .signed8)
  private static let times = InformationElement(.cesnet, 3, "packetTime", .dateTimeMilliseconds)
  private static let content = InformationElement(.cesnet, 4, "content", .octetArray)
  private static let name = InformationElement(.cesnet, 5, "name", .string)
  private static let server = InformationElement(.cesnet, 6, "server", .octetArray)

  /// Two forms of the basic fields, and the fields of plugins, one of them with an element of the basic ones.
  private static var fields: [JSONField] {
    var list = JSONFieldList()
    for address in [version4, version6] {
      list.startForm()
      list.unsigned64(octets, 0)
      list.time(start, nanoseconds: 0)
      // Shorter on the wire than the element's type.
      list.unsigned8(flags, 0)
      if address.type == .ipv4Address {
        list.ipv4Address(address, 0)
      } else {
        list.ipv6Address(address, high: 0, low: 0)
      }
      list.macAddress(InformationElement(.iana, 56, "sourceMacAddress", .macAddress), 0)
    }
    list.endForms()
    let bytes: InlineArray<1, UInt8> = [0]
    list.unsigned64(identifier, 0)
    list.float32(entropy, 0)
    list.list(direction, count: 0) { _ in Int16(0) }
    list.times(times, count: 0) { _ in 0 }
    list.octets(content, bytes.span.bytes)
    list.string(name, bytes.span.bytes)
    list.addressOctets(server, high: 0, low: 0, isVersion6: false)
    list.unsigned64(octets, 0)
    return list.fields
  }

  @Test func fieldsAreInTheOrderOfRecordsAndOnce() {
    #expect(
      Self.fields.map(\.key) == [
        "iana:octetDeltaCount", "iana:flowStartMicroseconds", "iana@reverse:tcpControlBits",
        "iana:sourceIPv6Address",
        "iana:sourceIPv4Address", "iana:sourceMacAddress", "iana:flowId", "martlet:entropy",
        "cesnet:packetDirection",
        "cesnet:packetTime", "cesnet:content", "cesnet:name", "cesnet:server",
      ])
    #expect(
      Self.fields.filter { !$0.isOptional }.map(\.key) == [
        "iana:octetDeltaCount", "iana:flowStartMicroseconds", "iana@reverse:tcpControlBits",
        "iana:sourceMacAddress",
      ])
    #expect(Self.fields[0].origin == "octets, iana 1, unsigned64")
    #expect(Self.fields[8].origin == "cesnet 2, signed8 in a list")
  }

  @Test func clickHouse() {
    #expect(
      Self.fields.map(ClickHouseSchema.type) == [
        "UInt64", "DateTime64(6, 'UTC')", "UInt16", "Nullable(IPv6)", "Nullable(IPv4)", "String",
        "Nullable(UInt64)",
        "Nullable(Float32)", "Array(Int16)", "Array(DateTime64(6, 'UTC'))", "Nullable(String)",
        "Nullable(String)",
        "Nullable(String)",
      ])
    let text = SchemaLanguage.clickHouse.text(Self.fields, brokers: "b:9092", topic: "flows")
    #expect(text.contains("  `iana@reverse:tcpControlBits` UInt16 COMMENT 'iana 6, unsigned16',\n"))
    #expect(text.contains("ORDER BY (`iana:flowStartMicroseconds`);"))
    #expect(text.contains("kafka_broker_list = 'b:9092'"))
  }

  @Test func spark() {
    let text = SchemaLanguage.spark.text(Self.fields, brokers: "", topic: "")
    for line in [
      #""name": "iana:octetDeltaCount", "type": "long", "nullable": false"#,
      #""name": "iana:flowId", "type": "decimal(20,0)", "nullable": true"#,
      #""name": "iana@reverse:tcpControlBits", "type": "integer", "nullable": false"#,
      #""name": "cesnet:packetDirection", "type": {"type": "array", "elementType": "short", "containsNull": false}"#,
      #""name": "iana:sourceIPv4Address", "type": "string", "nullable": true"#,
      #""name": "martlet:entropy", "type": "float", "nullable": true"#,
    ] { #expect(text.contains(line), "\(line)") }
  }

  @Test func jsonSchema() {
    let text = SchemaLanguage.jsonSchema.text(Self.fields, brokers: "", topic: "")
    for line in [
      #""iana:octetDeltaCount": {"type": "integer", "minimum": 0, "maximum": 18446744073709551615, "#,
      #""iana@reverse:tcpControlBits": {"type": "integer", "minimum": 0, "maximum": 65535, "#,
      #"{"type": "array", "items": {"type": "integer", "minimum": -32768, "maximum": 32767}, "#,
      #""martlet:entropy": {"type": ["number", "null"], "#,
      #""cesnet:packetTime": {"type": "array", "items": {"type": "string", "format": "date-time"}, "#,
      #""cesnet:content": {"type": "string", "pattern": "^0x([0-9a-f]{2})*$", "#,
      #""additionalProperties": false"#,
    ] { #expect(text.contains(line), "\(line)") }
  }
}

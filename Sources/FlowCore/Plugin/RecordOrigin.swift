// What records say of where they come from, on request: for outputs without options records, and where several probes' records lie
// in one table.
import IPFIX
import Wire

/// Which fields of a record's origin there are.
public struct RecordOrigin: Sendable, Equatable {
  /// interfaceName: the name that belongs to ingressInterface.
  public var hasInterfaceName = false
  /// exporterIPv4Address or exporterIPv6Address; nil for neither.
  public var exporter: IPAddress?

  public init() {}

  /// There are none.
  var isEmpty: Bool { !hasInterfaceName && exporter == nil }
}

/// The elements of a record's origin.
enum OriginElements {
  static let interfaceName = InformationElement(.iana, 82, "interfaceName", .string)
  static let exporterIPv4 = InformationElement(.iana, 130, "exporterIPv4Address", .ipv4Address)
  static let exporterIPv6 = InformationElement(.iana, 131, "exporterIPv6Address", .ipv6Address)
}

extension RecordSchema {
  /// Exports `name` as the interfaceName of flows whose first packet came from this port; "" until then. Only before the first
  /// record.
  public func setInterfaceName(_ name: String, ofPort port: UInt16) { interfaces.setName(name, Int(port)) }

  /// Writes what records say of where they come from.
  @inline(never)
  func writeOrigin<Writer: FieldWriter & ~Copyable>(
    _ head: UnsafePointer<FlowRecord>, into writer: inout Writer
  ) {
    if origin.hasInterfaceName {
      writer.string(OriginElements.interfaceName, interfaces.name(head.pointee.port).span)
    }
    guard let exporter = origin.exporter else { return }
    if exporter.isVersion6 {
      writer.ipv6Address(OriginElements.exporterIPv6, high: exporter.high, low: exporter.low)
    } else {
      writer.ipv4Address(OriginElements.exporterIPv4, exporter.version4)
    }
  }
}

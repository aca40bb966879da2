// What plugins declare: options and their errors, and the elements, which are held against the reference's table.
import Foundation
import IPFIX
import Testing
import Wire

@testable import FlowCore

@Suite struct PluginDeclarationTests {
  // MARK: Options

  @Test(arguments: [
    ("pstats:packets=0", "option packets of plugin pstats takes a number from 1 to 255, not '0'"),
    ("pstats:packets=256", "option packets of plugin pstats takes a number from 1 to 255, not '256'"),
    ("pstats:packets", "option packets of plugin pstats takes a number from 1 to 255, not ''"),
    ("pstats:packets=ten", "option packets of plugin pstats takes a number from 1 to 255, not 'ten'"),
    ("pstats:time=ns", "option time of plugin pstats is one of ms, us, not 'ns'"),
    ("pstats:time", "option time of plugin pstats is one of ms, us, not ''"),
    ("pstats:skipdup=1", "option skipdup of plugin pstats takes no value, not '1'"),
    (
      "pstats:zeroes",
      "plugin pstats has no option 'zeroes'; it takes includezeroes, skipdup, packets, time"
    ),
    ("phists:includezeroes=yes", "option includezeroes of plugin phists takes no value, not 'yes'"),
    ("phists:skipdup", "plugin phists has no option 'skipdup'; it takes includezeroes"),
    ("idpcontent:length=0", "option length of plugin idpcontent takes a number from 1 to 1000, not '0'"),
    (
      "idpcontent:length=1001",
      "option length of plugin idpcontent takes a number from 1 to 1000, not '1001'"
    ),
    ("pstats:packets=7,packets=9", "option packets of plugin pstats is given twice"),
    ("pstats:skipdup,skipdup", "option skipdup of plugin pstats is given twice"),
    ("bstats:length=1", "plugin bstats has no option 'length'; it takes none"),
    ("nettisa:x", "plugin nettisa has no option 'x'; it takes none"),
  ])
  func badOptionsAreNamed(selection: String, message: String) {
    #expect {
      try StateLayout<BuiltInPlugins>([PluginSelection(selection)])
    } throws: {
      "\($0)" == message
    }
  }

  @Test(arguments: [
    "pstats:includezeroes,skipdup,packets=255,time=us", "pstats:packets=1", "phists:includezeroes",
    "idpcontent:length=1000", "bstats:", "nettisa",
  ])
  func goodOptionsAreTaken(selection: String) throws {
    #expect(try StateLayout<BuiltInPlugins>([PluginSelection(selection)]).slots.count == 1)
  }

  @Test func unknownAndRepeatedPluginsAreNamed() {
    #expect {
      try StateLayout<BuiltInPlugins>([PluginSelection("histograms")])
    } throws: {
      "\($0)".hasPrefix("there is no plugin 'histograms'; there are basicplus, bstats, dns, dnssd, flowhash,")
    }
    #expect {
      try StateLayout<BuiltInPlugins>([PluginSelection("vlan"), PluginSelection("vlan")])
    } throws: {
      "\($0)" == "plugin vlan is named twice"
    }
  }

  // MARK: Memory

  /// Bytes for each flow: state and trailing bytes. More of them is a decision, not an accident.
  @Test(arguments: [
    ("pstats", 248), ("pstats:skipdup", 280), ("pstats:packets=255", 2048), ("phists", 144), ("bstats", 640),
    ("nettisa", 92),
    ("idpcontent", 15), ("basicplus", 30), ("icmp", 3), ("vlan", 0), ("mpls", 4), ("flowhash", 0),
    ("ntp", 6), ("ssdp", 33), ("netbios", 7), ("mqtt", 33), ("smtp", 76), ("quic", 58), ("flowstats", 176),
    ("qos", 47), ("rtt", 80), ("ssh", 34),
    ("osquery", 7),
  ])
  func stateIsAsSmallAsItWas(selection: String, bytes: UInt32) throws {
    let layout = try StateLayout<BuiltInPlugins>([PluginSelection(selection)])
    let size = withExtendedLifetime(layout) {
      let slot = layout.slots[0]
      return slot.trailingSize == 0
        ? slot.stateSize : slot.trailingOffset + slot.trailingSize - slot.stateOffset
    }
    #expect(size == bytes)
  }

  // MARK: Elements

  private static let table = URL(fileURLWithPath: #filePath)
    .appendingPathComponent("../../../../../shared/reference/elements.csv").standardized

  /// The fields of a plugin's record as lines: key, number, type and length, as in the reference's table.
  private static func reference() throws -> [String: [String]] {
    var fields: [String: [String]] = [:]
    for line in try String(contentsOf: table, encoding: .utf8).split(whereSeparator: \.isNewline).dropFirst()
    {
      // plugin, order, pen, id, reverse_pen, scope, name, type, wire_length, list_pen, list_id, list_type,
      // list_element_length, list_semantic, json_key, …: no quotes up to there
      let cells = line.split(separator: ",", maxSplits: 15, omittingEmptySubsequences: false)
      fields[String(cells[0]), default: []].append(
        cells[7] == "basicList"
          ? "\(cells[14]) list of \(cells[10]) \(cells[11]) \(cells[12])"
          : "\(cells[14]) \(cells[3]) \(cells[7]) \(cells[8])")
    }
    return fields
  }

  @Test(
    .enabled(if: FileManager.default.fileExists(atPath: table.path), "needs ../shared/reference"),
    arguments: [
      "pstats", "phists", "bstats", "nettisa", "idpcontent", "basicplus", "icmp", "vlan", "mpls", "flowhash",
      "ovpn", "wg", "ssadetector", "tls", "quic", "dns", "passivedns", "dnssd", "ntp", "ssdp", "netbios",
      "mqtt", "smtp",
      "http", "rtsp", "sip", "osquery",
    ])
  func elementsAreTheReferences(plugin: String) throws {
    var finder = FieldFinder(name: plugin)
    BuiltInPlugins.visitAll(&finder)
    // Martlet's own come after ipfixprobe's.
    let fields = finder.fields.filter { !$0.hasPrefix("martlet:") }
    #expect(fields == (try Self.reference()[plugin]))
    #expect(finder.fields.starts(with: fields))
  }
}

/// Lists the fields of the plugin called `name`.
private struct FieldFinder: PluginVisitor {
  let name: String
  var fields: [String] = []

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    guard P.name == name, let options = try? PluginOptions("", declared: P.options, plugin: name),
      let plugin = try? P(options: options)
    else { return }
    var record = FlowRecord(
      key: Key(
        addresses: 0, sourcePort: 0, destinationPort: 0, protocolNumber: 6, vlan: 0, isVersion6: false))
    var lister = FieldLister()
    // All-zero bytes are the state of a flow not seen yet.
    let size = MemoryLayout<P.State>.stride
    let state = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: MemoryLayout<P.State>.alignment)
    defer { state.deallocate() }
    state.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    withUnsafeMutablePointer(to: &record) {
      let memory = UnsafeMutableRawPointer($0)
      plugin.export(
        state.load(as: P.State.self),
        FinishedFlow(
          record: UnsafePointer($0), slab: SlabReader(arena: memory, units: 1), states: PluginStates(),
          trailing: MutableBytes(memory, count: 0)), into: &lister)
    }
    fields = lister.fields
  }
}

/// Writes down what each field is.
private struct FieldLister: FieldListener {
  var fields: [String] = []

  private func key(_ element: InformationElement) -> String {
    "\(element.owner)\(element.isReverse ? "@reverse" : ""):\(element.name)"
  }
  mutating func field(_ element: InformationElement, length: UInt16) {
    fields.append("\(key(element)) \(element.identifier) \(element.type) \(length)")
  }
  mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry
  ) {
    fields.append(
      "\(key(element)) list of \(element.identifier) \(element.type) \(MemoryLayout<Entry>.size)")
  }
  mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    fields.append("\(key(element)) list of \(element.identifier) \(element.type) 8")
  }
}

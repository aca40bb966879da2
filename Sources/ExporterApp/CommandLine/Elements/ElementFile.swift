// `--print-elements`: what collectors read to know the elements by name, made from the declarations that the plugins' code has.
// The files in docs/elements are its output.
import FlowCore
import IPFIX

/// A file of element definitions for a program.
enum ElementFile: String, CaseIterable, Sendable {
  /// libfds and ipfixcol2: a file for each enterprise.
  case libfdsMartlet = "libfds-martlet"
  case libfdsCESNET = "libfds-cesnet"
  case libfdsFlowmon = "libfds-flowmon"
  /// pmacct's `aggregate_primitives`.
  case pmacct
  /// Wireshark and tshark: a script in Lua.
  case wireshark

  /// The file's text.
  ///
  /// - Parameter configuration: whose plugins' elements are wanted, all if it has none, and the number of Martlet's own.
  func text(_ configuration: RunConfiguration) -> String {
    let elements = ExportedElement.all(of: configuration.plugins.map(\.name))
    let number = configuration.ownEnterpriseNumber
    switch self {
    case .libfdsMartlet: return LibfdsFile.text(elements, of: .martlet, martlet: number)
    case .libfdsCESNET: return LibfdsFile.text(elements, of: .cesnet, martlet: number)
    case .libfdsFlowmon: return LibfdsFile.text(elements, of: .flowmon, martlet: number)
    case .pmacct: return PmacctFile.text(elements, martlet: number)
    case .wireshark: return WiresharkFile.text(elements, martlet: number)
    }
  }
}

/// An element that records or options records have.
struct ExportedElement {
  /// Whose it is, a plugin's name; nil for what all records and options records have.
  let plugin: String?
  let element: InformationElement
  /// Octets on the wire, `FieldSpecifier.variableLength` where each record says how many.
  let length: UInt16
  /// Whether it is a basicList of these elements.
  let isList: Bool

  /// The elements of all plugins, or of those named, without IANA's own, which every collector knows; an element that stands for
  /// both directions comes once.
  static func all(of plugins: [String]) -> [ExportedElement] {
    var elements = BuiltInSchema.basicFields().map { ExportedElement(nil, $0) }
    elements += BuiltInSchema.tunnelFields().map { ExportedElement(nil, $0) }
    elements.append(ExportedElement(plugin: nil, element: .receiveQueue, length: 2, isList: false))
    elements.append(ExportedElement(plugin: nil, element: .filterExpression, length: 256, isList: false))
    for plugin in PluginCatalogue.all where plugins.isEmpty || plugins.contains(plugin.name) {
      elements += plugin.fields.map { ExportedElement(plugin.name, $0) }
    }
    var known: Set<UInt32> = []
    return elements.filter { exported in
      let element = exported.element
      guard element.owner != .iana || element.isReverse else { return false }
      return known.insert(element.owner == .iana ? element.code : element.forward.code).inserted
    }
  }

  private init(_ plugin: String?, _ field: PluginField) {
    self.init(plugin: plugin, element: field.element, length: field.length, isList: field.isList)
  }

  private init(plugin: String?, element: InformationElement, length: UInt16, isList: Bool) {
    self.plugin = plugin
    self.element = element
    self.length = length
    self.isList = isList
  }
}

/// XML as libfds reads it.
enum LibfdsFile {
  /// The elements of one owner.
  static func text(_ elements: [ExportedElement], of owner: InformationElement.Owner, martlet: UInt32)
    -> String
  {
    let own = elements.map(\.element).filter { $0.owner == owner }.sorted { $0.identifier < $1.identifier }
    let number = own.first?.enterpriseNumber(martlet: martlet) ?? 0
    var lines = [
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>",
      // XML allows no two hyphens in a comment.
      "<!-- Made by martlet's option print-elements, libfds-\(owner.name). For /etc/libfds/user/elements. -->",
      "<ipfix-elements>", "    <scope>", "        <pen>\(number)</pen>", "        <name>\(owner.name)</name>",
      "        <biflow mode=\"none\"></biflow>", "    </scope>",
    ]
    for element in own {
      lines += [
        "    <element>", "        <id>\(element.identifier)</id>", "        <name>\(element.name)</name>",
        "        <dataType>\(element.type)</dataType>",
        "        <dataSemantics>\(element.semantics)</dataSemantics>",
        "        <units>\(element.units)</units>", "        <status>current</status>", "    </element>",
      ]
    }
    return lines.joined(separator: "\n") + "\n</ipfix-elements>\n"
  }
}

/// Lines as pmacct's `aggregate_primitives` reads them.
enum PmacctFile {
  /// A line for each element of one value that pmacct can show, below the name of its plugin.
  static func text(_ elements: [ExportedElement], martlet: UInt32) -> String {
    var lines = [
      "! Made by: martlet --print-elements pmacct. For aggregate_primitives.",
      "! pmacct reads no more than 63 lines: take those that aggregate names, or add --plugins NAME[,NAME].",
      "! Lists are left out: pmacct has no primitive for them.",
    ]
    var plugin: String?
    for exported in elements where !exported.isList {
      let element = exported.element
      if exported.plugin != plugin {
        plugin = exported.plugin
        lines.append("!\n! \(plugin ?? "")")
      }
      let isVariable = exported.length == FieldSpecifier.variableLength
      let semantics =
        switch element.type {
        case .string: "str"
        case .octetArray: "raw"
        case .ipv4Address, .ipv6Address: "ip"
        case .macAddress: "mac"
        case .float32, .float64: "hex"
        default: "u_int"
        }
      // Names in `aggregate` are read in lower case.
      let scope = element.isReverse ? "reverse" : element.owner.name.description
      let name = "\(scope)_\(element.name)".lowercased()
      lines.append(
        "name=\(name)\tfield_type=\(element.enterpriseNumber(martlet: martlet)):\(element.identifier)"
          + "\tlen=\(isVariable ? "vlen" : String(exported.length))\tsemantics=\(semantics)")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

// Which fields the records of a run have, by the short names that columns of CSV have: what features are looked for in.
import IPFIX
import Rendering

/// Which fields a model may take.
struct RecordFields {
  /// What a field is to a feature.
  enum Kind: Equatable {
    case number
    case list
    /// Times, which are microseconds since the flow's first packet.
    case time
    case times
    /// What has no number; in words.
    case other(String)
  }

  /// One field.
  struct Field {
    var name: String
    var kind: Kind
    /// The slot of its plugin; nil for those that every record has.
    var slot: Int?
    /// Its place among the fields of that plugin, or of the basic ones.
    var place: Int
  }

  private(set) var fields: [Field] = []
  /// How many basic fields there are, and how many of each plugin, by slot.
  private(set) var basicCount = 0
  private(set) var counts: [Int] = []

  /// The flow's duration in seconds, which CSV with short names has, too; its place is behind the basic fields.
  static let duration = "duration"

  /// The fields of the slots before `slots`.
  init<Registry: PluginRegistry>(_ schema: RecordSchema<Registry>, slots: Int) {
    var lists: [[PluginField]] = []
    schema.withEmptyRecord { record, slab in
      var basics = PluginFieldList()
      record.flowRecord.pointee.exportBasicFields(.microseconds, interface: 0, into: &basics)
      lists.append(basics.fields)
      for slot in 0..<slots {
        var list = PluginFieldList()
        schema.slots[slot].writeFields(record, slab, schema.states, tunnels: nil, into: &list)
        lists.append(list.fields)
      }
    }
    basicCount = lists[0].count
    counts = lists.dropFirst().map(\.count)
    let names = CSVNames.short.names(lists.flatMap { $0.map(\.element) })
    var index = 0
    for (list, own) in lists.enumerated() {
      for (place, field) in own.enumerated() {
        fields.append(
          Field(name: names[index], kind: Self.kind(field), slot: list == 0 ? nil : list - 1, place: place))
        index += 1
      }
    }
    fields.append(Field(name: Self.duration, kind: .number, slot: nil, place: basicCount))
    basicCount += 1
  }

  /// The field of that name.
  subscript(name: String) -> Field? { fields.first { $0.name == name } }

  private static func kind(_ field: PluginField) -> Kind {
    // Only who exports knows the port's number.
    if field.element.code == BasicElements.ingressInterface.code {
      return .other("known only when the record leaves")
    }
    switch field.element.type {
    case .unsigned8, .unsigned16, .unsigned32, .unsigned64, .signed8, .signed16, .signed32, .signed64,
      .float32, .float64, .boolean:
      return field.isList ? .list : .number
    case .dateTimeSeconds, .dateTimeMilliseconds, .dateTimeMicroseconds, .dateTimeNanoseconds:
      return field.isList ? .times : .time
    case .macAddress, .ipv4Address, .ipv6Address: return .other("an address, and no number")
    case .octetArray, .string, .basicList: return .other("a text, and no number")
    }
  }
}

/// Which plugins have a field, whether they are enabled or not.
enum FieldOwners {
  /// What `--plugins` takes to get the field of that short name; empty for one that there is not.
  static func plugins(with name: String) -> [String] {
    PluginCatalogue.all.filter { $0.name != ModelPlugin.name }.compactMap { plugin in
      let names = CSVNames.short.names(plugin.fields.map(\.element))
      guard let index = names.firstIndex(of: name), index < plugin.fields.count else { return nil }
      let option = plugin.fields[index].option.flatMap { isUsual($0, of: plugin) ? nil : $0 }
      return plugin.name + (option.map { ":\($0)" } ?? "")
    }
  }

  /// Whether a setting, as `time=ms`, is what the plugin does anyway.
  private static func isUsual(_ setting: String, of plugin: PluginDescription) -> Bool {
    setting.isEmpty
      || plugin.options.contains { option in
        if case .choice(_, let usual) = option.kind { setting == "\(option.name)=\(usual)" } else { false }
      }
  }
}

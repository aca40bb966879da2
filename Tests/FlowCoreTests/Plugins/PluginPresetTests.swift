// Presets: what `--preset` and the word `all` bring besides the plugins that are named.
import Testing

@testable import FlowCore

struct PluginPresetTests {
  private func names(_ presets: [PluginPreset], _ plugins: String = "") -> [String] {
    let named = plugins.isEmpty ? [] : PluginCatalogue.parse(plugins)
    return PluginPreset.expand(presets, named).map { plugin in
      plugin.options.isEmpty ? plugin.name : "\(plugin.name):\(plugin.options)"
    }
  }

  @Test(arguments: PluginPreset.allCases) func presetsNamePluginsThatExist(preset: PluginPreset) throws {
    let schema = try BuiltInSchema(plugins: preset.selections)
    #expect(schema.layout.slots.count == preset.selections.count)
    #expect(preset.bytesPerFlow == schema.layout.stride - FlowRecord.size)
  }

  @Test func allIsEveryPluginButModels() {
    #expect(Set(names([], "all")) == Set(PluginCatalogue.all.map(\.name)).subtracting(["model"]))
    #expect(names([.all]) == names([], "all"))
  }

  @Test func pluginsThatAreNamedComeFirstWithTheirOptions() {
    let security = names([.security], "vlan,http")
    #expect(security == ["vlan", "http", "tls:certificates", "quic", "dns", "ssh", "smtp", "basicplus"])
    #expect(Array(names([], "pstats:packets=5,all").prefix(2)) == ["pstats:packets=5", "basicplus"])
    #expect(names([], "pstats:packets=5,all").filter { $0.hasPrefix("pstats") }.count == 1)
    #expect(names([.ml, .security]).contains("tls:certificates"))
    #expect(names([.all, .security]).contains("tls:certificates"))
    #expect(names([.security], "tls").contains("tls"))
    #expect(names([.ml, .security]).filter { $0.hasPrefix("tls") }.count == 1)
  }

  @Test func whatIsNamedTwiceStaysAMistake() {
    #expect(names([.ml], "vlan,vlan").filter { $0 == "vlan" }.count == 2)
    #expect(names([], "all:packets=5") == ["all:packets=5"])
  }

  @Test func allPluginsTogetherTakeLessThanTwoAndAHalfKibibytes() {
    #expect(PluginPreset.all.bytesPerFlow + FlowRecord.size <= 2560)
  }
}

// What a plugin's author gets wrong without noticing is refused at start, in one line that names plugin and field.
import Foundation
import IPFIX
import Testing

@testable import FlowCore

/// A plugin that looks at no packet.
private protocol IdlePlugin: FlowPlugin {
  init()
}

extension IdlePlugin {
  static var summary: String { "a plugin of the tests" }
  init(options: borrowing PluginOptions) { self.init() }
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }
}

/// A registry of one plugin.
private enum Only<P: FlowPlugin>: PluginRegistry {
  case only

  func visit<Visitor: PluginVisitor & ~Copyable>(_ visitor: inout Visitor) {
    visitor.visit(P.self)
  }
}

/// A registry of two plugins.
private enum Both<P: FlowPlugin, Q: FlowPlugin>: PluginRegistry {
  case first, second

  func visit<Visitor: PluginVisitor & ~Copyable>(_ visitor: inout Visitor) {
    switch self {
    case .first: visitor.visit(P.self)
    case .second: visitor.visit(Q.self)
    }
  }
}

private let one = InformationElement(.martlet, 901, "one", .unsigned32)
private let two = InformationElement(.martlet, 902, "two", .unsigned16)
private let three = InformationElement(.martlet, 903, "three", .string)

/// The line with which a start is refused; nil where it is not.
private func refusal<Registry: PluginRegistry>(_ registry: Registry.Type, enabled: String...) -> String? {
  do throws(FlowSetupError) {
    try StateLayout<Registry>(enabled.map { PluginSelection($0) }).checkDeclarations()
    return nil
  } catch {
    return "\(error)"
  }
}

@Suite struct PluginMistakeTests {
  // MARK: Fields that come and go

  private static func sometimes(_ plugin: String, _ field: String) -> String {
    "plugin \(plugin) writes field \(field) only sometimes: export must write all its fields, always and in the same order"
  }

  /// Leaves a counter out that is zero.
  private struct SkipsZero: IdlePlugin {
    static let name = "skipszero"
    struct State: FlowState {
      var first: UInt32 = 0
      var second: UInt16 = 0
    }
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {
      writer.unsigned32(one, state.first)
      if state.second > 20 { writer.unsigned16(two, state.second) }
      writer.string(three, flow.trailing.prefix(0).span)
    }
  }

  /// Has an element for each IP version.
  private struct DependsOnVersion: IdlePlugin {
    static let name = "version"
    struct State: FlowState {}
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {
      if flow.isVersion6 { writer.unsigned32(one, 0) } else { writer.unsigned16(two, 0) }
    }
  }

  /// Exchanges two fields where the flow has packets in reverse.
  private struct DependsOnDirection: IdlePlugin {
    static let name = "direction"
    struct State: FlowState {}
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {
      if flow.reversePackets == 0 { writer.unsigned32(one, 0) }
      writer.unsigned16(two, 0)
      if flow.reversePackets != 0 { writer.unsigned32(one, 0) }
    }
  }

  /// Writes what `finish` found.
  private struct DependsOnFinish: IdlePlugin {
    static let name = "finish"
    struct State: FlowState { var isThere = InlineArray<2, Bool>(repeating: false) }
    func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
      state.isThere[1] = true
      return true
    }
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {
      if state.isThere[1] == state.isThere[0] { writer.unsigned32(one, 0) }
    }
  }

  /// Writes a text of another length where bytes behind the state say so.
  private struct DependsOnTrailing: IdlePlugin {
    static let name = "trailing"
    var trailingBytes: Int { 8 }
    struct State: FlowState {}
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {
      if flow.trailing.load(UInt8.self, at: 7) == 0 {
        writer.unsigned16(one, 0)
      } else {
        writer.unsigned32(one, 0)
      }
    }
  }

  /// Writes a name only where the flow has a block for it.
  private struct DependsOnBlock: IdlePlugin {
    static let name = "block"
    struct State: FlowState { var block = BlockReference() }
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {
      let bytes = flow.bytes(state.block, 4)
      if bytes.count == 4, bytes[3] == 1 { writer.string(three, bytes.span) }
    }
  }

  /// Writes one of two directions, whichever has more.
  private struct DependsOnOneMember: IdlePlugin {
    static let name = "member"
    struct Direction: BitwiseCopyable {
      var isLong = false
      var count: UInt64 = 0
    }
    struct State: FlowState {
      var forward = Direction()
      var reverse = Direction()
    }
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {
      writer.unsigned64(one, state.forward.count)
      if state.forward.count < state.reverse.count { writer.unsigned64(two, state.reverse.count) }
    }
  }

  @Test func fieldsThatComeAndGoAreRefused() {
    #expect(refusal(Only<SkipsZero>.self, enabled: "skipszero") == Self.sometimes("skipszero", "martlet:two"))
    #expect(
      refusal(Only<DependsOnVersion>.self, enabled: "version") == Self.sometimes("version", "martlet:one"))
    #expect(
      refusal(Only<DependsOnDirection>.self, enabled: "direction")
        == Self.sometimes("direction", "martlet:one"))
    #expect(refusal(Only<DependsOnFinish>.self, enabled: "finish") == Self.sometimes("finish", "martlet:one"))
    #expect(
      refusal(Only<DependsOnTrailing>.self, enabled: "trailing") == Self.sometimes("trailing", "martlet:one"))
    #expect(refusal(Only<DependsOnBlock>.self, enabled: "block") == Self.sometimes("block", "martlet:three"))
    #expect(
      refusal(Only<DependsOnOneMember>.self, enabled: "member") == Self.sometimes("member", "martlet:two"))
  }

  @Test func whatIsNotEnabledIsNotRun() {
    #expect(refusal(Only<SkipsZero>.self) == nil)
  }

  // MARK: The same name or element twice

  private struct OtherPushes: IdlePlugin {
    static let name = "pushes"
    struct State: FlowState {}
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {}
  }

  private struct SameElement: IdlePlugin {
    static let name = "same"
    struct State: FlowState {}
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {
      // Another name and type do not make it another element.
      writer.unsigned8(InformationElement(.martlet, 900, "copied", .unsigned8, isReverse: true), 0)
    }
  }

  private struct SameElementTwice: IdlePlugin {
    static let name = "twice"
    struct State: FlowState {}
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {
      writer.unsigned32(one, 1)
      writer.unsigned32(one, 2)
    }
  }

  @Test func namesAndElementsAreOfOnePlugin() {
    #expect(
      refusal(Both<PushCounter, OtherPushes>.self) == "two plugins are called pushes: rename one of them")
    #expect(
      refusal(Both<PushCounter, SameElement>.self)
        == "plugins pushes and same both write field martlet@reverse:copied (enterprise number and element 900): give one of them another element"
    )
    #expect(
      refusal(Only<SameElementTwice>.self)
        == "plugin twice writes field martlet:one twice (enterprise number and element 901)")
  }

  // MARK: States that do not begin as zero

  private struct StartsHigh: IdlePlugin {
    static let name = "high"
    struct Direction: BitwiseCopyable {
      var isKnown = false
      var shortest: UInt16 = .max
    }
    struct State: FlowState {
      var count: UInt64 = 0
      var reverse = Direction()
    }
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {}
  }

  /// Nil is not zero for a type that has all of its bits.
  private struct StartsWithNil: IdlePlugin {
    static let name = "nil"
    struct State: FlowState { var last: UInt32? = nil }
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {}
  }

  private struct StartsWithOnes: IdlePlugin {
    static let name = "ones"
    struct State: FlowState {
      var isFirst = false
      var bins = InlineArray<3, UInt32>(repeating: 1)
    }
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {}
  }

  /// Padding between and behind its members, which has no value.
  private struct HasPadding: IdlePlugin {
    static let name = "padding"
    struct Inner: BitwiseCopyable {
      var small: UInt8 = 0
      var large: UInt64 = 0
      var last: UInt8 = 0
    }
    struct State: FlowState {
      var one: UInt8 = 0
      var pair = InlineArray<2, Inner>(repeating: Inner())
      var inner = Inner()
      var flag = false
      var mean = 0.0
      var note: Bool? = false
    }
    func export<Writer: FieldWriter & ~Copyable>(
      _ state: State, _ flow: FinishedFlow, into writer: inout Writer
    ) {
      writer.unsigned64(one, state.inner.large)
    }
  }

  @Test func statesBeginAsZero() {
    func line(_ plugin: String, _ member: String) -> String {
      "State.\(member) of plugin \(plugin) does not begin as zero, but a flow's state does: set it in create"
    }
    #expect(refusal(Only<StartsHigh>.self) == line("high", "reverse.shortest"))
    #expect(refusal(Only<StartsWithNil>.self) == line("nil", "last"))
    #expect(refusal(Only<StartsWithOnes>.self) == line("ones", "bins"))
    #expect(refusal(Only<HasPadding>.self, enabled: "padding") == nil)
  }

  @Test func membersAreFoundWhereTheyLie() throws {
    typealias State = HasPadding.State
    let members = State.members()
    #expect(
      members.map(\.path) == [
        "one", "pair", "inner.small", "inner.large", "inner.last", "flag", "mean", "note",
      ])
    func offset(_ path: String) -> Int? { members.first { $0.path == path }?.offset }
    #expect(offset("pair") == MemoryLayout<State>.offset(of: \.pair))
    #expect(offset("inner.last") == MemoryLayout<State>.offset(of: \.inner.last))
    #expect(offset("flag") == MemoryLayout<State>.offset(of: \.flag))
    #expect(offset("mean") == MemoryLayout<State>.offset(of: \.mean))
    #expect(offset("note") == MemoryLayout<State>.offset(of: \.note))
  }

  // MARK: The plugins there are

  @Test func theExampleIsFaultless() {
    #expect(refusal(Only<PushCounter>.self, enabled: "pushes") == nil)
  }

  /// With each option, too: other options may bring other fields.
  @Test func martletsOwnPluginsAreFaultless() {
    for plugin in PluginCatalogue.all {
      #expect(refusal(BuiltInPlugins.self, enabled: plugin.name) == nil)
      for option in plugin.options {
        let values: [String] =
          switch option.kind {
          case .flag: [""]
          case .number(let range, _): ["=\(range.lowerBound)", "=\(range.upperBound)"]
          case .choice(let words, _): words.map { "=\($0)" }
          case .text, .path: []
          }
        for value in values {
          #expect(refusal(BuiltInPlugins.self, enabled: "\(plugin.name):\(option.name)\(value)") == nil)
        }
      }
    }
    #expect(PluginCatalogue.all.count == BuiltInPlugins.allCases.count)
  }

  @Test func elementsOfAllOptionsAreOfOnePlugin() {
    var owners: [UInt64: String] = [:]
    // passivedns declares that it shares its elements with dns.
    for plugin in PluginCatalogue.all where plugin.name != PassiveDNS.name {
      for field in plugin.fields {
        let element = field.element
        let number =
          UInt64(element.owner.rawValue) << 32 | (element.isReverse ? 1 << 16 : 0)
          | UInt64(element.identifier)
        #expect(owners.updateValue(plugin.name, forKey: number) == nil, "\(element.name)")
      }
    }
  }

  @Test func aSchemaIsRefusedAndNotOnlyItsLayout() {
    // `RecordSchema`, through which every run goes, asks for the same check.
    #expect(throws: Never.self) {
      try BuiltInSchema(plugins: PluginPreset.all.selections)
    }
  }
}

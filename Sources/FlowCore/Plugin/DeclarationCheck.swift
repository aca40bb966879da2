// What plugin authors get wrong without noticing is refused at start, and so in every test: two plugins with one name or
// one element, a state that does not begin as zero, and an `export` that writes a field only sometimes, which would shift
// every later field of the record in IPFIX and CSV.
import CIntrinsics
import IPFIX

/// What is wrong with a registry, by its type: a run and many a test make several schemas of one.
private let knownRegistries = Guarded<[ObjectIdentifier: String?]>([:])

extension StateLayout {
  /// Throws where a plugin of the registry, or one that is enabled with its options, is not declared as it has to be.
  func checkDeclarations() throws(FlowSetupError) {
    // A read outside of its bytes is no fault here: the states below are made up.
    let trace = martlet_trace_current()
    let before = trace?.pointee
    trace?.pointee.faults = nil
    defer { if let before { trace?.pointee = before } }

    let slab = try DryRunSlab()
    if let line = Self.lineOfRegistry(slab) { throw .plugin(line) }
    var owners = ElementOwners()
    for (slot, bits) in slots.enumerated() {
      martlet_trace_slot(UInt32(slot + 1))
      var enabled = EnabledCheck(slot: bits, slab: slab)
      bits.registration.visit(&enabled)
      if let line = enabled.line ?? owners.add(enabled.fields, of: enabled.name, enabled.sharesElements) {
        throw .plugin(line)
      }
    }
  }

  /// What is wrong with the registry's plugins, whichever are enabled.
  private static func lineOfRegistry(_ slab: DryRunSlab) -> String? {
    let registry = ObjectIdentifier(Registry.self)
    if let known = knownRegistries.withLock({ $0[registry] }) { return known }
    var check = RegistryCheck(slab: slab)
    Registry.visitAll(&check)
    let line = check.line
    knownRegistries.withLock { $0[registry] = .some(line) }
    return line
  }
}

/// Which plugin has an element.
private struct ElementOwners {
  private var owners: [FieldSequence.Element: (plugin: String, isShared: Bool)] = [:]

  /// Notes the fields of a plugin; the line that says which of them another plugin, or it itself, has too.
  mutating func add(_ fields: FieldSequence, of plugin: String, _ isShared: Bool) -> String? {
    for field in fields.fields {
      if let (other, mayShare) = owners[field.element], other == plugin || !mayShare || !isShared {
        let number = "enterprise number and element \(field.element.identifier)"
        return other == plugin
          ? "plugin \(plugin) writes field \(field.name) twice (\(number))"
          : "plugins \(other) and \(plugin) both write field \(field.name) (\(number)): give one of them another element"
      }
      owners[field.element] = (plugin, isShared)
    }
    return nil
  }
}

/// Looks at each plugin of the registry with its default options.
private struct RegistryCheck: PluginVisitor {
  let slab: DryRunSlab
  private var names: Set<String> = []
  private var owners = ElementOwners()
  /// What is wrong.
  private(set) var line: String?

  init(slab: DryRunSlab) { self.slab = slab }

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    guard line == nil else { return }
    guard names.insert(P.name).inserted else {
      line = "two plugins are called \(P.name): rename one of them"
      return
    }
    if let member = P.State.firstNonzeroMember() {
      line =
        "State.\(member) of plugin \(P.name) does not begin as zero, but a flow's state does: set it in create"
      return
    }
    guard let options = try? PluginOptions("", declared: P.options, plugin: P.name),
      let plugin = try? P(options: options)
    else { return }
    defer { plugin.free() }
    line = owners.add(DryRun(plugin: plugin, slab: slab).fieldsOfNothing(), of: P.name, P.sharesElements)
  }
}

/// Looks at what an enabled plugin exports of made-up flows.
private struct EnabledCheck<Registry: PluginRegistry>: PluginVisitor {
  let slot: PluginSlot<Registry>
  let slab: DryRunSlab
  private(set) var name = ""
  private(set) var fields = FieldSequence()
  private(set) var sharesElements = false
  /// What is wrong.
  private(set) var line: String?

  init(slot: PluginSlot<Registry>, slab: DryRunSlab) {
    self.slot = slot
    self.slab = slab
  }

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    (name, sharesElements) = (P.name, P.sharesElements)
    let run = DryRun(plugin: slot.value(type).pointee, slab: slab)
    fields = run.fieldsOfNothing()
    if fields.hasAddress, !P.hasAddresses {
      line =
        "plugin \(P.name) writes an address: replace it in anonymise, and say hasAddresses"
    } else if let field = run.fieldThatComesAndGoes() {
      line =
        "plugin \(P.name) writes field \(field) only sometimes: export must write all its fields, always and in the same order"
    }
  }
}

/// The fields of a record in order, without their values.
struct FieldSequence: FieldListener, Equatable {
  /// What makes an element one: who names it, its number, its direction.
  struct Element: Hashable {
    var owner: InformationElement.Owner
    var identifier: UInt16
    var isReverse: Bool
  }

  /// A field as a template tells it.
  struct Field: Equatable {
    var element: Element
    /// Octets on the wire; in a list of each entry, negative.
    var length: Int
    /// As in JSON keys.
    var name: String
  }

  private(set) var fields: [Field] = []
  /// One of them is an address.
  private(set) var hasAddress = false

  private mutating func add(_ element: InformationElement, _ length: Int) {
    fields.append(
      Field(
        element: Element(
          owner: element.owner, identifier: element.identifier, isReverse: element.isReverse), length: length,
        name: "\(element.owner)\(element.isReverse ? "@reverse" : ""):\(element.name)"))
  }
  mutating func field(_ element: InformationElement, length: UInt16) { add(element, Int(length)) }
  mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) {
    hasAddress = true
    add(element, 4)
  }
  mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) {
    hasAddress = true
    add(element, 16)
  }
  mutating func macAddress(_ element: InformationElement, _ address: UInt64) {
    hasAddress = true
    add(element, 6)
  }
  mutating func addressOctets(_ element: InformationElement, high: UInt64, low: UInt64, isVersion6: Bool) {
    hasAddress = true
    add(element, Int(FieldSpecifier.variableLength))
  }
  mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry
  ) {
    add(element, -MemoryLayout<Entry>.size)
  }
  mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    add(element, -8)
  }

  /// The name of a field that is in one of the sequences and not, or elsewhere, in the other; nil where they are equal.
  func difference(_ other: FieldSequence) -> String? {
    guard self != other else { return nil }
    for index in 0..<max(fields.count, other.fields.count) {
      let one = index < fields.count ? fields[index] : nil
      let two = index < other.fields.count ? other.fields[index] : nil
      guard one != two else { continue }
      // The one that the other sequence does not have at all is missing there; else they changed places.
      if let two, !fields.contains(two) { return two.name }
      return (one ?? two)?.name
    }
    return nil
  }
}

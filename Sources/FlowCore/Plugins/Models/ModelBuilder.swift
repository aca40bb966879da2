// From models' files to what workers use: each feature's fields are looked for among those that records have, once, at start and
// when the files are read again.
import CModels
import Glibc
import IPFIX

/// Makes a set of models for records of some fields.
struct ModelBuilder {
  private let fields: RecordFields
  private let reader: RecordReader
  private var operands: [FeatureOperand: Int] = [:]
  private var loaded: [martlet_model_object] = []
  private var models: [ReadyModel] = []

  private init(_ fields: RecordFields, _ reader: RecordReader) {
    (self.fields, self.reader) = (fields, reader)
  }

  /// The models of `requests`, loaded and ready.
  ///
  /// - Throws: what is wrong with one of them, with its path; nothing stays loaded then.
  static func build(
    _ requests: [ModelRequest], _ files: [ModelFile], _ fields: RecordFields, _ reader: RecordReader
  ) throws(FlowSetupError) -> UnsafeMutablePointer<ModelTables> {
    var builder = ModelBuilder(fields, reader)
    for (request, file) in zip(requests, files) {
      do throws(ModelError) {
        try builder.add(file, request)
      } catch {
        for var object in builder.loaded { martlet_model_close(&object) }
        throw .plugin("model \(file.path) \(error.reason)")
      }
    }
    return builder.tables()
  }

  private mutating func add(_ file: ModelFile, _ request: ModelRequest) throws(ModelError) {
    let manifest = file.manifest
    var plans: [FeaturePlan] = []
    var steps: [PlannedStep] = []
    for feature in manifest.features {
      let expression = try FeatureExpression(feature)
      var own: [PlannedStep] = []
      for step in expression.steps {
        switch step {
        case .operand(let operand):
          own.append(
            PlannedStep(operation: .load, place: UInt32(try place(of: operand, in: feature)), constant: 0))
        case .constant(let value): own.append(PlannedStep(operation: .constant, place: 0, constant: value))
        case .operation(let operation): own.append(PlannedStep(operation: operation, place: 0, constant: 0))
        }
      }
      if own.count == 1, own[0].operation == .load {
        plans.append(FeaturePlan(place: own[0].place, firstStep: 0, stepCount: 0))
      } else {
        plans.append(FeaturePlan(place: 0, firstStep: UInt32(steps.count), stepCount: UInt32(own.count)))
        steps += own
      }
    }
    for alarm in request.alarms where alarm != "*" && !manifest.classes.contains(alarm) {
      throw ModelError(
        reason: "has no class '\(alarm)' for alarm; it has \(manifest.classes.joined(separator: ", "))")
    }
    let title = manifest.version.isEmpty ? manifest.name : "\(manifest.name) \(manifest.version)"
    var labels: [UInt16] = []
    for text in (manifest.classes.isEmpty ? [""] : manifest.classes) { labels.append(try number(of: text)) }
    let alarms = (manifest.classes.isEmpty ? [""] : manifest.classes).map {
      request.alarms.contains($0) || request.alarms.contains("*")
    }
    let name = try number(of: title)
    let object = try file.load()
    loaded.append(object)
    models.append(
      ReadyModel(
        object: object, plans: Self.keep(plans), featureCount: plans.count, steps: Self.keep(steps),
        missing: manifest.missing, roundsToFloat: manifest.roundsToFloat, outputs: manifest.outputs,
        labels: Self.keep(labels), classCount: manifest.classes.count, name: name,
        minimumScore: request.minimumScore, alarms: Self.keep(alarms)))
  }

  private func number(of text: String) throws(ModelError) -> UInt16 {
    guard let number = ModelTexts.shared.number(of: text) else {
      throw ModelError(reason: "has names that there is no room for: this process has seen 65536 others")
    }
    return number
  }

  /// Where in the row an operand goes.
  private mutating func place(of operand: FeatureOperand, in feature: String) throws(ModelError) -> Int {
    if let known = operands[operand] { return known }
    func wrong(_ what: String) -> ModelError { ModelError(reason: "wants feature '\(feature)', but \(what)") }
    guard let field = fields[operand.field] else {
      let owners = FieldOwners.plugins(with: operand.field)
      throw wrong(
        owners.isEmpty
          ? "no plugin has a field '\(operand.field)'"
          : "no enabled plugin has the field \(operand.field): add --plugins \(owners.joined(separator: " or "))"
      )
    }
    switch (field.kind, operand.part) {
    case (.other(let what), _): throw wrong("\(field.name) is \(what)")
    case (.number, .value), (.time, .value): break
    case (.list, .entry), (.times, .entry), (.list, .count), (.times, .count): break
    case (.list, .value), (.times, .value):
      throw wrong("\(field.name) is a list: say which entry, as \(field.name)[0]")
    case (.number, _), (.time, _): throw wrong("\(field.name) is no list")
    }
    guard operands.count < ModelTables.mostInputs else {
      throw ModelError(
        reason: "and those before it want more than \(ModelTables.mostInputs) different numbers")
    }
    operands[operand] = operands.count
    return operands.count - 1
  }

  // MARK: Tables

  private func tables() -> UnsafeMutablePointer<ModelTables> {
    var uses = [[FieldUse]](repeating: [], count: 1 + fields.counts.count)
    uses[0] = [FieldUse](repeating: FieldUse(), count: fields.basicCount)
    for (slot, count) in fields.counts.enumerated() {
      uses[slot + 1] = [FieldUse](repeating: FieldUse(), count: count)
    }
    var durationPlace = -1
    var slots: UInt32 = 0
    // By field, so that a list's picks lie together.
    var picks: [String: [ListPick]] = [:]
    for (operand, place) in operands {
      guard let field = fields[operand.field] else { continue }
      if let slot = field.slot { slots |= 1 << slot }
      let list = field.slot.map { $0 + 1 } ?? 0
      switch operand.part {
      case .value where field.name == RecordFields.duration: durationPlace = place
      case .value: uses[list][field.place].place = Int32(place)
      case .entry(let index):
        picks[field.name, default: []].append(.init(index: Int32(index), place: Int32(place)))
      case .count: picks[field.name, default: []].append(.init(index: -1, place: Int32(place)))
      }
    }
    var allPicks: [ListPick] = []
    for (name, own) in picks.sorted(by: { $0.key < $1.key }) {
      guard let field = fields[name] else { continue }
      let list = field.slot.map { $0 + 1 } ?? 0
      uses[list][field.place].first = UInt32(allPicks.count)
      uses[list][field.place].count = UInt32(own.count)
      allPicks += own.sorted { $0.index < $1.index }
    }
    var tables = ModelTables(
      uses: Self.keep(uses.flatMap { $0 }), picks: Self.keep(allPicks), rowCount: max(1, operands.count),
      slots: slots, durationPlace: durationPlace, models: .allocate(capacity: max(1, models.count)),
      count: models.count)
    tables.models.initialize(from: models, count: models.count)
    var start = uses[0].count
    for slot in fields.counts.indices {
      tables.slotUses[slot] = UInt32(start)
      start += uses[slot + 1].count
    }
    let memory = UnsafeMutablePointer<ModelTables>.allocate(capacity: 1)
    memory.initialize(to: tables)
    return memory
  }

  private static func keep<Element: BitwiseCopyable>(_ list: [Element]) -> UnsafePointer<Element> {
    let memory = UnsafeMutablePointer<Element>.allocate(capacity: max(1, list.count))
    memory.initialize(from: list, count: list.count)
    return UnsafePointer(memory)
  }

  /// Unloads the objects of a set and frees it; no worker may be using it.
  static func discard(_ tables: UnsafeMutablePointer<ModelTables>) {
    let set = tables.pointee
    for index in 0..<set.count {
      var model = set.models[index]
      martlet_model_close(&model.object)
      model.plans.deallocate()
      model.steps.deallocate()
      model.labels.deallocate()
      model.alarms.deallocate()
    }
    set.models.deallocate()
    set.uses.deallocate()
    set.picks.deallocate()
    tables.deinitialize(count: 1)
    tables.deallocate()
  }
}

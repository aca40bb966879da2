// Models as workers use them: which fields are taken from a record into one row that all of them share, how each makes its
// features of the row, and what it calls its scores. Nothing here changes once it is made; another set takes its place.
import CIntrinsics
import CModels
import IPFIX
import Wire

/// How one feature is made: the number at `place` of the row, or the steps of a computation.
struct FeaturePlan: BitwiseCopyable {
  var place: UInt32
  var firstStep: UInt32
  var stepCount: UInt32
}

/// One step of a computation.
struct PlannedStep: BitwiseCopyable {
  var operation: FeatureOperation
  var place: UInt32
  var constant: Double
}

/// What a model said of a flow.
struct Judgement: BitwiseCopyable {
  /// Numbers of texts (`ModelTexts`).
  var model: UInt16 = 0
  var label: UInt16 = 0
  var score: Float = 0
  /// Microseconds from the flow's first packet to the one after which it was judged early; 0 at its end.
  var latency: UInt32 = 0
}

/// One model, ready for use.
struct ReadyModel {
  var object: martlet_model_object
  var plans: UnsafePointer<FeaturePlan>
  var featureCount: Int
  var steps: UnsafePointer<PlannedStep>
  var missing: Double
  var roundsToFloat: Bool
  var outputs: Int
  /// The numbers of the classes' texts; those of an output that is a value are none.
  var labels: UnsafePointer<UInt16>
  var classCount: Int
  var name: UInt16
  /// A lower score gives no label.
  var minimumScore: Double
  /// Whether each class, or any value, is an alarm.
  var alarms: UnsafePointer<Bool>
}

/// What a score comes to.
struct Verdicts: BitwiseCopyable {
  var judgement: Judgement
  /// The score is high enough for a label.
  var isSure: Bool
  /// Its label is one that was asked to be told at once.
  var isAlarm: Bool
}

/// All models of a run, at an address that stays while a worker uses it.
struct ModelTables {
  /// How the basic fields are taken, and behind them those of each slot.
  var uses: UnsafePointer<FieldUse>
  var slotUses: InlineArray<32, UInt32> = .init(repeating: 0)
  var picks: UnsafePointer<ListPick>
  /// How many numbers the row has.
  var rowCount: Int
  /// The slots (bit = slot) from whose fields something is taken.
  var slots: UInt32
  /// The place of the flow's duration; -1 for nowhere.
  var durationPlace: Int
  var models: UnsafeMutablePointer<ReadyModel>
  var count: Int

  /// The most numbers of a row.
  static let mostInputs = MARTLET_MODEL_INPUTS

  /// Takes what models want of a record, whose plugins have finished it, into `row`.
  @inline(__always)
  func fill(
    _ row: UnsafeMutablePointer<Double>, from record: UnsafeMutablePointer<FlowRecord>, presence: UInt32,
    _ reader: RecordReader, _ slab: SlabReader
  ) {
    var place = 0
    while place < rowCount {
      row[place] = .nan
      place &+= 1
    }
    let began = Int64(truncatingIfNeeded: record.pointee.first / 1000)
    var basics = FeatureRow(use: uses, picks: picks, values: row, began: began)
    record.pointee.exportBasicFields(.microseconds, interface: 0, into: &basics)
    if durationPlace >= 0 {
      // As CSV has it: whole microseconds, in seconds.
      let (first, last) = (record.pointee.first, record.pointee.last)
      row[durationPlace] = Double((last >= first ? last &- first : 0) / 1000) / 1e6
    }
    var rest = slots & presence
    while rest != 0 {
      let slot = rest.trailingZeroBitCount
      // Safe: uses of a slot begin where `slotUses` says, and slots are below 32.
      var fields = FeatureRow(
        use: uses + Int(slotUses[total: slot]), picks: picks, values: row, began: began)
      reader.writeFields(slot: slot, record, slab, into: &fields)
      rest &= rest &- 1
    }
  }

  /// Has a model judge the row; nil where its scores are no numbers. `features`, `scores` and `stack` are memory to work with.
  @inline(__always)
  func judge(
    _ index: Int, _ row: UnsafePointer<Double>, features: UnsafeMutablePointer<Double>,
    scores: UnsafeMutablePointer<Double>, stack: UnsafeMutablePointer<Double>
  ) -> Verdicts? {
    // Safe: the caller's index is below `count`.
    let model = models + index
    var feature = 0
    while feature < model.pointee.featureCount {
      // Safe: there is a plan for each feature, and places and steps are those that it was made with.
      let plan = model.pointee.plans[feature]
      var value = row[Int(plan.place)]
      if plan.stepCount != 0 {
        value = compute(model.pointee.steps + Int(plan.firstStep), Int(plan.stepCount), row, stack)
      }
      if model.pointee.roundsToFloat { value = Double(Float(value)) }
      features[feature] = value.isFinite ? value : model.pointee.missing
      feature &+= 1
    }
    martlet_model_call(model.pointee.object.predict, features, scores)
    return verdict(model, scores)
  }

  @inline(__always)
  private func compute(
    _ steps: UnsafePointer<PlannedStep>, _ count: Int, _ row: UnsafePointer<Double>,
    _ stack: UnsafeMutablePointer<Double>
  ) -> Double {
    var height = 0
    var index = 0
    while index < count {
      let step = steps[index]
      // Safe: an expression's depth is at most that of the stack, and it takes no more than it has put there.
      switch step.operation {
      case .load:
        stack[height] = row[Int(step.place)]
        height &+= 1
      case .constant:
        stack[height] = step.constant
        height &+= 1
      case .negate, .log1p, .squareRoot, .absolute:
        stack[height &- 1] = step.operation.result(stack[height &- 1], 0)
      case .add, .subtract, .multiply, .divide, .minimum, .maximum:
        stack[height &- 2] = step.operation.result(stack[height &- 2], stack[height &- 1])
        height &-= 1
      }
      index &+= 1
    }
    return stack[0]
  }

  /// The class with the highest score, the first of several; nil where a score is no number.
  @inline(__always)
  private func verdict(_ model: UnsafeMutablePointer<ReadyModel>, _ scores: UnsafeMutablePointer<Double>)
    -> Verdicts?
  {
    var best = 0
    var score = scores[0]
    var output = 0
    while output < model.pointee.outputs {
      guard scores[output].isFinite else { return nil }
      if scores[output] > score { (best, score) = (output, scores[output]) }
      output &+= 1
    }
    if model.pointee.outputs == 1, model.pointee.classCount == 2 {
      // As scikit-learn and its kin have it: the second class from a half on, but not at it.
      best = score > 0.5 ? 1 : 0
      if best == 0 { score = 1 - score }
    }
    let isSure = score >= model.pointee.minimumScore
    return Verdicts(
      judgement: Judgement(
        model: model.pointee.name, label: isSure ? model.pointee.labels[best] : 0, score: Float(score)),
      isSure: isSure, isAlarm: isSure && model.pointee.alarms[best])
  }
}

/// How the fields of the plugins before the models' are read.
///
/// Safe between threads: nothing changes once a run has begun.
struct RecordReader: BitwiseCopyable, @unchecked Sendable {
  var slots: UnsafeMutablePointer<PluginSlot<BuiltInPlugins>>
  var states: PluginStates
  var tunnelsOffset: Int
  /// Bytes of a record.
  var stride: Int

  /// Writes the fields of the plugin in a slot.
  @inline(__always)
  func writeFields(
    slot: Int, _ record: UnsafeMutablePointer<FlowRecord>, _ slab: SlabReader, into row: inout FeatureRow
  ) {
    let bytes = UnsafeMutableRawPointer(record)
    // Safe: the caller's slot is one that is enabled.
    slots[slot].writeFields(
      bytes, slab, states,
      tunnels: FlowTunnels.of(bytes, record.pointee.key, offset: tunnelsOffset), into: &row)
  }

  /// Has the plugins in `mask` finish a record; which of them have fields.
  @inline(__always)
  func finish(mask: UInt32, _ blocks: FlowBlocks) -> UInt32 {
    var present: UInt32 = 0
    var rest = mask
    while rest != 0 {
      let slot = rest.trailingZeroBitCount
      if PluginSlot.finish(slots + slot, blocks) {
        present |= 1 &<< UInt32(truncatingIfNeeded: slot)
      }
      rest &= rest &- 1
    }
    return present
  }
}

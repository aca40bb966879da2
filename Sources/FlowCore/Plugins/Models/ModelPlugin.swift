// model: what compiled models say of a flow, once, at its end or after its first packets. Their features are fields that the
// other plugins write, so one declaration of a field serves collectors, training and the model.
import CIntrinsics
import IPFIX
import Wire

/// What models there may be.
public enum ModelLimits {
  /// The most that judge the flows of one run.
  public static let most = 4
}

/// `--plugin model:file=NAME.model[,after=N][,min-score=S][,alarm=LABEL]`, for each model.
struct ModelPlugin: FlowPlugin {
  static let name = "model"
  static let summary =
    "label and score that a compiled model gives the flow; repeatable, for up to four models"
  static let exportsContent = false
  static let readsRecords = true
  static let options = [
    PluginOption("file", .path, "the model, NAME.model, with its object NAME.so beside it"),
    PluginOption(
      "after", .number(0...65535, default: 0), "judge a flow after its first N packets; 0: when it ends"),
    PluginOption("min-score", .text(default: ""), "a score below S, 0 to 1, gives no label"),
    PluginOption(
      "alarm", .text(default: ""),
      "with after: a flow that gets this label is exported at once; several joined by |, * for any"),
  ]

  struct State: FlowState {
    /// The packet after which a model judges the flow next; 0 where none does before the end.
    var next: UInt16 = 0
    /// The models (bit = place) that have judged the flow.
    var judged: UInt8 = 0
    /// The flow was exported with an alarm before, and this is what came after it.
    var isRest = false
  }

  private let places: Int
  /// After which packet each model judges a flow early, 0 for one that does not, and the first of these.
  private let after: InlineArray<4, UInt16>
  private let firstAfter: UInt16
  // Safe: retained by `init`, and given back by `free`.
  private let shelfReference: Unmanaged<ModelShelf>

  init(options: borrowing PluginOptions) throws(FlowSetupError) {
    var requests = [try ModelRequest(options)]
    for other in options.further { requests.append(try ModelRequest(other)) }
    guard requests.count <= ModelLimits.most else {
      throw .plugin("at most \(ModelLimits.most) models can be enabled at once")
    }
    var after = InlineArray<4, UInt16>(repeating: 0)
    for (place, request) in requests.enumerated() { after[place] = UInt16(request.after) }
    self.after = after
    firstAfter = UInt16(requests.map(\.after).filter { $0 > 0 }.min() ?? 0)
    places = requests.count
    _ = ModelTexts.shared
    // Safe: as above.
    shelfReference = Unmanaged.passRetained(ModelShelf(requests))
  }

  func free() { shelfReference.release() }

  /// What all workers share.
  var shelf: ModelShelf { shelfReference.takeUnretainedValue() }

  /// A judgement for each model, where `State.judged` says so.
  var trailingBytes: Int { places * MemoryLayout<Judgement>.stride }

  func makeWorkerContext() -> ModelWorkbench { ModelWorkbench(shelf) }
  func freeWorkerContext(_ context: ModelWorkbench) { context.free() }

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard firstAfter != 0 else { return .done }
    if flow.position != 0 {
      state.isRest = true
      return .done
    }
    state.next = firstAfter
    return look(&state, &flow)
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    look(&state, &flow)
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
    if state.isRest { return false }
    judgeAtEnd(&state, &flow)
    return state.judged != 0
  }

  // MARK: Judging

  @inline(__always)
  private func look(_ state: inout State, _ flow: inout FlowContext<Self>) -> Verdict {
    flow.packets < UInt64(state.next) ? .more : judgeEarly(&state, &flow)
  }

  /// Has the models judge a flow that ends, as far as they have not.
  @inline(never)
  private func judgeAtEnd(_ state: inout State, _ flow: inout FlowContext<Self>) {
    let bench = flow.worker
    guard let reader = bench.reader, let tables = bench.enter() else { return }
    defer { bench.leave() }
    let record = flow.record
    var isFilled = false
    var place = 0
    while place < min(places, tables.pointee.count) {
      if state.judged & bit(place) == 0 {
        if !isFilled {
          isFilled = true
          tables.pointee.fill(
            bench.row, from: record, presence: record.pointee.lowPresence, reader,
            flow.blocks.slab.pointee.reader)
        }
        if let verdict = judge(place, tables, bench, flow) {
          flow.trailing.store(verdict.judgement, at: place &* Self.stride)
          state.judged |= bit(place)
        }
      }
      place &+= 1
    }
  }

  /// Has the models judge a flow that goes on, whose turn it is: on a copy of its record, since plugins complete what is open when
  /// they finish one.
  @inline(never)
  private func judgeEarly(_ state: inout State, _ flow: inout FlowContext<Self>) -> Verdict {
    let packets = flow.packets
    var isAlarm = false
    let bench = flow.worker
    if let reader = bench.reader, let tables = bench.enter() {
      defer { bench.leave() }
      let slab = flow.blocks.slab
      MutableBytes(bench.copy, count: reader.stride).copy(
        Bytes(UnsafeRawPointer(flow.record), count: reader.stride), to: 0)
      let copy = bench.copy.flowRecord
      let unstarted = UInt32(truncatingIfNeeded: copy.pointee.unstarted)
      copy.pointee.endReason = .forced
      // What plugins take for the copy is given back; what they had taken stays the flow's.
      copy.pointee.blocks = 0
      let blocks = FlowBlocks(record: copy, worker: flow.blocks.worker)
      let present = reader.finish(mask: tables.pointee.slots & ~unstarted, blocks)
      tables.pointee.fill(bench.row, from: copy, presence: present, reader, slab.pointee.reader)
      slab.pointee.giveBack(&copy.pointee.blocks)
      var place = 0
      while place < min(places, tables.pointee.count) {
        let turn = after[total: place]
        if turn != 0, UInt64(turn) <= packets, state.judged & bit(place) == 0,
          let verdict = judge(place, tables, bench, flow), verdict.isSure
        {
          var judgement = verdict.judgement
          judgement.latency = UInt32(clamping: (flow.last &- min(flow.first, flow.last)) / 1000)
          flow.trailing.store(judgement, at: place &* Self.stride)
          state.judged |= bit(place)
          isAlarm = isAlarm || verdict.isAlarm
        }
        place &+= 1
      }
    }
    martlet_trace_slot(0)
    if isAlarm {
      // What follows is no new flow that would be judged again: it is told so.
      flow.position = 1
      return .nextRecord
    }
    state.next = nextTurn(behind: packets)
    return state.next == 0 ? .done : .more
  }

  @inline(__always)
  private func judge(
    _ place: Int, _ tables: UnsafePointer<ModelTables>, _ bench: ModelWorkbench, _ flow: FlowContext<Self>
  ) -> Verdicts? {
    let verdict = tables.pointee.judge(
      place, bench.row, features: bench.features, scores: bench.scores, stack: bench.stack)
    if verdict == nil { flow.blocks.shortfalls.pointee.scoresUnusable &+= 1 }
    return verdict
  }

  /// The packet after which a model judges flows next, once `packets` have come; 0 for none.
  private func nextTurn(behind packets: UInt64) -> UInt16 {
    var next: UInt16 = 0
    var place = 0
    while place < places {
      let turn = after[total: place]
      if UInt64(turn) > packets, next == 0 || turn < next { next = turn }
      place &+= 1
    }
    return next
  }

  private static var stride: Int { MemoryLayout<Judgement>.stride }

  @inline(__always)
  private func bit(_ place: Int) -> UInt8 { 1 &<< UInt8(truncatingIfNeeded: place) }

  // MARK: Fields

  static let name1 = InformationElement(.martlet, 300, "modelName", .string)
  static let label1 = InformationElement(.martlet, 301, "modelLabel", .string)
  static let score1 = InformationElement(.martlet, 302, "modelScore", .float32)
  static let latency1 = InformationElement(.martlet, 303, "modelLatency", .unsigned32, units: .microseconds)
  static let name2 = InformationElement(.martlet, 304, "model2Name", .string)
  static let label2 = InformationElement(.martlet, 305, "model2Label", .string)
  static let score2 = InformationElement(.martlet, 306, "model2Score", .float32)
  static let latency2 = InformationElement(.martlet, 307, "model2Latency", .unsigned32, units: .microseconds)
  static let name3 = InformationElement(.martlet, 308, "model3Name", .string)
  static let label3 = InformationElement(.martlet, 309, "model3Label", .string)
  static let score3 = InformationElement(.martlet, 310, "model3Score", .float32)
  static let latency3 = InformationElement(.martlet, 311, "model3Latency", .unsigned32, units: .microseconds)
  static let name4 = InformationElement(.martlet, 312, "model4Name", .string)
  static let label4 = InformationElement(.martlet, 313, "model4Label", .string)
  static let score4 = InformationElement(.martlet, 314, "model4Score", .float32)
  static let latency4 = InformationElement(.martlet, 315, "model4Latency", .unsigned32, units: .microseconds)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    write(0, Self.name1, Self.label1, Self.score1, Self.latency1, state, flow, into: &writer)
    if places > 1 {
      write(1, Self.name2, Self.label2, Self.score2, Self.latency2, state, flow, into: &writer)
    }
    if places > 2 {
      write(2, Self.name3, Self.label3, Self.score3, Self.latency3, state, flow, into: &writer)
    }
    if places > 3 {
      write(3, Self.name4, Self.label4, Self.score4, Self.latency4, state, flow, into: &writer)
    }
  }

  @inline(__always)
  private func write<Writer: FieldWriter & ~Copyable>(
    _ place: Int, _ name: InformationElement, _ label: InformationElement, _ score: InformationElement,
    _ latency: InformationElement, _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let isJudged = state.judged & bit(place) != 0
    let judgement = isJudged ? flow.trailing.load(Judgement.self, at: place &* Self.stride) : Judgement()
    writer.string(name, texts[judgement.model].span)
    writer.string(label, texts[judgement.label].span)
    writer.float32(score, judgement.score)
    writer.unsigned32(latency, judgement.latency)
  }

  private let texts = ModelTexts.shared
}

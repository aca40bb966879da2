// What a worker needs to have models judge flows: memory to work in, and the place where it says which models it uses.
import CModels
import Glibc

/// A worker's memory for models.
struct ModelWorkbench: BitwiseCopyable {
  // Safe: a shelf lives longer than workers.
  let shelf: Unmanaged<ModelShelf>
  private let current: UnsafeMutablePointer<UnsafeRawPointer?>
  private let inUse: UnsafeMutablePointer<UnsafeRawPointer?>
  let row: UnsafeMutablePointer<Double>
  let features: UnsafeMutablePointer<Double>
  let scores: UnsafeMutablePointer<Double>
  let stack: UnsafeMutablePointer<Double>
  /// A copy of a record whose flow goes on.
  let copy: UnsafeMutableRawPointer
  /// How records are read; nil where there are no models.
  let reader: RecordReader?

  /// The most numbers that lie on the stack.
  private static let deepest = FeatureExpression.mostSteps

  init(_ shelf: ModelShelf) {
    func numbers(_ count: Int) -> UnsafeMutablePointer<Double> {
      let memory = UnsafeMutablePointer<Double>.allocate(capacity: count)
      memory.initialize(repeating: 0, count: count)
      return memory
    }
    // Safe: as above.
    self.shelf = Unmanaged.passUnretained(shelf)
    current = shelf.current
    inUse = shelf.addUser()
    row = numbers(ModelTables.mostInputs)
    features = numbers(ModelManifest.mostFeatures)
    scores = numbers(ModelManifest.mostOutputs)
    stack = numbers(Self.deepest)
    reader = shelf.reader
    copy = .allocate(byteCount: max(64, shelf.reader?.stride ?? 0), alignment: 64)
  }

  func free() {
    // Safe: as above.
    shelf._withUnsafeGuaranteedRef { $0.removeUser(inUse) }
    row.deallocate()
    features.deallocate()
    scores.deallocate()
    stack.deallocate()
    copy.deallocate()
  }

  /// The models, which stay until `leave`; nil where there are none.
  @inline(__always)
  func enter() -> UnsafePointer<ModelTables>? {
    // Safe: `current` holds sets alone, which `ModelBuilder` made.
    martlet_model_enter(current, inUse)?.assumingMemoryBound(to: ModelTables.self)
  }

  @inline(__always)
  func leave() { martlet_model_leave(inUse) }
}

// The models of a run: read at start, read again on SIGHUP, and put in the place of those before without a worker waiting.
import CModels
import Glibc

/// What all workers share of the models; it lives as long as their plugin, so longer than workers.
///
/// Safe between threads: workers read `current` alone, and say in a place of their own what they use of it (`martlet_model_enter`);
/// all else belongs to the thread that reads files, but for the list of these places, which has a lock.
final class ModelShelf: @unchecked Sendable {
  let requests: [ModelRequest]
  /// The set in use; NULL where there is none.
  let current: UnsafeMutablePointer<UnsafeRawPointer?>
  /// How a record's fields are read; nil before models were loaded.
  private(set) var reader: RecordReader?
  private var fields: RecordFields?
  private var manifests: [ModelManifest] = []
  private var owners: Set<uid_t>?
  /// The addresses at which each worker says what it uses.
  private let uses = Guarded<[UInt]>([])

  init(_ requests: [ModelRequest]) {
    self.requests = requests
    current = .allocate(capacity: 1)
    current.initialize(to: nil)
  }

  deinit {
    if let set = current.pointee { Self.discard(set) }
    current.deallocate()
  }

  // MARK: Workers

  /// A place in which a worker says what it uses.
  func addUser() -> UnsafeMutablePointer<UnsafeRawPointer?> {
    let place = UnsafeMutablePointer<UnsafeRawPointer?>.allocate(capacity: 1)
    place.initialize(to: nil)
    let address = UInt(bitPattern: place)
    uses.withLock { $0.append(address) }
    return place
  }

  /// The worker is gone.
  func removeUser(_ place: UnsafeMutablePointer<UnsafeRawPointer?>) {
    let address = UInt(bitPattern: place)
    uses.withLock { list in list.removeAll { $0 == address } }
    place.deallocate()
  }

  // MARK: Files

  /// Reads and loads all models, for records whose fields these are.
  func load(_ fields: RecordFields, _ reader: RecordReader, owners: Set<uid_t>?) throws(FlowSetupError) {
    (self.fields, self.reader, self.owners) = (fields, reader, owners)
    let files = try files()
    use(try ModelBuilder.build(requests, files, fields, reader), files)
  }

  /// Reads the files again; what is new in them takes the place of what there was.
  ///
  /// - Returns: what changed, a line for each model; nothing where nothing did.
  /// - Throws: what is wrong; the models stay as they were.
  func reload() throws(FlowSetupError) -> [String] {
    guard let fields, let reader else { return [] }
    let files = try files()
    guard files.map(\.manifest) != manifests else { return [] }
    let changed = zip(files, manifests).filter { $0.0.manifest != $0.1 }.map { file, _ in
      "model \(file.path): now \(file.manifest.name) \(file.manifest.version)"
    }
    use(try ModelBuilder.build(requests, files, fields, reader), files)
    return changed
  }

  private func files() throws(FlowSetupError) -> [ModelFile] {
    var files: [ModelFile] = []
    for request in requests {
      do throws(ModelError) {
        files.append(try ModelFile(request.file, owners: owners))
      } catch {
        throw .plugin("model \(request.file) \(error.reason)")
      }
    }
    return files
  }

  /// Puts a set into use, and waits until no worker uses the one before: that takes as long as to judge one flow.
  private func use(_ tables: UnsafeMutablePointer<ModelTables>, _ files: [ModelFile]) {
    manifests = files.map(\.manifest)
    let old = current.pointee
    martlet_model_replace(current, tables)
    guard let old else { return }
    while isUsed(old) { usleep(100) }
    Self.discard(old)
  }

  private static func discard(_ set: UnsafeRawPointer) {
    // Safe: `current` holds sets alone, which `ModelBuilder` made.
    ModelBuilder.discard(UnsafeMutableRawPointer(mutating: set).assumingMemoryBound(to: ModelTables.self))
  }

  /// Whether a worker uses a set.
  private func isUsed(_ tables: UnsafeRawPointer) -> Bool {
    uses.withLock { $0 }.contains { address in
      // The places of workers that are gone are not in the list, and workers go with the thread that asks.
      martlet_model_is_used(UnsafePointer<UnsafeRawPointer?>(bitPattern: address), tables) != 0
    }
  }
}

// A model on the disk: its manifest and the object beside it, read once, looked at, and loaded from memory, so that what was
// checked is what runs.
import CModels
import Glibc
import Wire

/// A model's manifest and the octets of its object.
struct ModelFile {
  let path: String
  let manifest: ModelManifest
  let object: [UInt8]

  /// The most octets of an object.
  private static let largestObject = 256 << 20

  /// Reads both files.
  ///
  /// - Parameters:
  ///   - path: `NAME.model`; the object is `NAME.so` beside it.
  ///   - owners: the users whose files are trusted; nil for everybody's, where nothing is run.
  /// - Throws: what is wrong, in words that follow `path`.
  init(_ path: String, owners: Set<uid_t>?) throws(ModelError) {
    self.path = path
    guard path.hasSuffix(".model") else { throw ModelError(reason: "is not called NAME.model") }
    manifest = try ModelManifest(try Self.read(path, "", atMost: ModelManifest.largestFile, owners))
    let objectPath = path.dropLast(".model".count) + ".so"
    object = try Self.read(
      String(objectPath), "has an object \(objectPath) that ", atMost: Self.largestObject, owners)
    guard SHA256.hexadecimal(of: object) == manifest.digest else {
      throw ModelError(
        reason: "does not match its object \(objectPath): its SHA-256 is not the one that the manifest names")
    }
  }

  private static func read(_ path: String, _ whose: String, atMost limit: Int, _ owners: Set<uid_t>?)
    throws(ModelError) -> [UInt8]
  {
    do throws(OrdinaryFile.Unreadable) {
      return try OrdinaryFile.contents(path, atMost: limit) { status in
        guard let owners else { return nil }
        if !owners.contains(status.st_uid) {
          return
            "it belongs to user \(status.st_uid): who writes it decides what this process does, so it must be root's or "
            + "this process's own"
        }
        return status.st_mode & 0o022 == 0 ? nil : "others than its owner may write it: chmod go-w \(path)"
      }
    } catch {
      throw ModelError(reason: "\(whose)cannot be read: \(error.reason)")
    }
  }

  /// Loads the object.
  ///
  /// - Throws: it cannot be loaded, or is not what the manifest says.
  func load() throws(ModelError) -> martlet_model_object {
    var loaded = martlet_model_object()
    let problem = object.withUnsafeBytes { martlet_model_open($0.baseAddress, $0.count, &loaded) }
    if let problem { throw ModelError(reason: "has an object that \(String(cString: problem))") }
    let (interface, features, outputs) = loaded.shape
    guard interface == MARTLET_MODEL_ABI, manifest.interface == Int(interface) else {
      martlet_model_close(&loaded)
      throw ModelError(
        reason:
          "was made for another interface (\(interface)) than this martlet's (\(MARTLET_MODEL_ABI)): compile it again"
      )
    }
    guard Int(features) == manifest.features.count, Int(outputs) == manifest.outputs else {
      martlet_model_close(&loaded)
      throw ModelError(
        reason:
          "lists \(manifest.features.count) features and \(manifest.outputs) outputs, but its object has "
          + "\(features) and \(outputs)")
    }
    return loaded
  }
}

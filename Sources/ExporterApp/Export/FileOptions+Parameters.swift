// What the parameters and the name of a file say of how it is written.

extension FileOptions {
  /// Compressors of files.
  private enum Compression: String, CaseIterable { case zstd }

  /// Reads the parameters of a file.
  ///
  /// - Parameters:
  ///   - path: the file's; nil is standard output.
  ///   - argument: the whole argument, for messages.
  init(_ parameters: ExportParameters, path: String?, _ argument: String) throws(ExportURLError) {
    self.init()
    rotation = try parameters.read(.rotate) { try FileRotation($0) } ?? rotation
    let level = try parameters.read(.level) { try Bounded.parse($0, in: ZstdStream.levels) }
    let compression = try parameters.choice(.compress, of: Compression.self)
    if compression != nil {
      compressionLevel = level ?? ZstdStream.defaultLevel
    } else if level != nil {
      throw parameters.wrong(.level, "it is of use with compress=zstd only; give both")
    }
    guard let path else {
      if parameters[.rotate] != nil {
        throw parameters.wrong(.rotate, "standard output cannot be rotated; name a file")
      }
      if compression != nil {
        throw parameters.wrong(.compress, "standard output is not compressed; name a file, or pipe into zstd")
      }
      return
    }
    if UnixSocket.path(path) != nil {
      let given: [ExportParameter] = [.rotate, .compress].filter { parameters[$0] != nil }
      if let first = given.first {
        throw parameters.wrong(first, "a Unix socket is neither rotated nor compressed; name a file")
      }
      return
    }
    guard parameters[.rotate] != nil || compression != nil || FilePattern.isOne(path) else { return }
    do { pattern = try FilePattern(path) } catch { throw .badName(argument, error.description) }
  }
}

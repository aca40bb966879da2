// Every `--export`, checked before anything is opened: a mistake in the last one must not empty the file of the first.

/// Where records go, as the options say, with nothing opened yet.
struct OutputPlan {
  /// One output and what the user wrote for it.
  struct Entry {
    /// As the user wrote it, for messages; without passwords.
    var argument: String
    var url: ExportURL
  }

  /// In the order given.
  private(set) var entries: [Entry] = []
  /// The files that are read and must not be written.
  let inputs: [FileIdentity]

  /// Parses the URLs and compares their files with each other and with `inputs`.
  ///
  /// - Parameters:
  ///   - fallback: what an empty list means; nil for nothing.
  ///   - inputs: the captures' paths; "-" is standard input.
  /// - Throws: an URL that means nothing, or a file that is named twice (usage).
  init(_ arguments: [String], fallback: String?, inputs: [String]) throws(Failure) {
    self.inputs = inputs.compactMap { $0 == "-" ? FileIdentity(descriptor: 0) : FileIdentity(path: $0) }
    let arguments = arguments.isEmpty ? fallback.map { [$0] } ?? [] : arguments
    var names: [String: String] = [:]
    var files: [FileIdentity: String] = [:]
    for argument in arguments {
      let url: ExportURL
      do { url = try ExportURL(parsing: argument) } catch { throw .usage(error.description) }
      entries.append(Entry(argument: url.title(argument), url: url))
      guard case .file(_, let path) = url.destination else { continue }
      let identity = path.map { FileIdentity(path: $0) } ?? FileIdentity(descriptor: 1)
      if let identity, self.inputs.contains(identity) {
        throw .usage("--export \(argument): this file is an input; name another one")
      }
      let name = path.map(SystemFiles.canonical) ?? "-"
      if let other = names[name] ?? identity.flatMap({ files[$0] }), !SystemFiles.isDevice(path) {
        throw .usage("--export \(argument): the same file as --export \(other); name another one")
      }
      names[name] = argument
      if let identity { files[identity] = argument }
    }
  }

  /// The files of the outputs that exist now, without entry `index`'s.
  func otherFiles(than index: Int) -> [FileIdentity] {
    inputs
      + entries.indices.compactMap { other in
        guard other != index, case .file(_, let path) = entries[other].url.destination else { return nil }
        return path.map { FileIdentity(path: $0) } ?? FileIdentity(descriptor: 1)
      }
  }
}

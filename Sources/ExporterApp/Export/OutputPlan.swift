// Every `--export`, checked before anything is opened: a mistake in the last one must not empty the file of the first.

/// Where records go, as the options say, with nothing opened yet.
struct OutputPlan {
  /// One output and what the user wrote for it.
  struct Entry {
    /// As the user wrote it, for messages; without passwords, and with the number of a file.
    var argument: String
    var url: ExportURL
    /// The number of the export lcore whose output it is; nil for one of each.
    var exporter: Int?

    /// Whether export lcore `number` has this output.
    func serves(_ number: Int) -> Bool { exporter == nil || exporter == number }
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
  ///   - exporters: how many lcores export. Where there are several, each has files of its own, with a number in their names.
  /// - Throws: an URL that means nothing, or a file that is named twice (usage).
  init(_ arguments: [String], fallback: String?, inputs: [String], exporters: Int = 1) throws(Failure) {
    self.inputs = inputs.compactMap { $0 == "-" ? FileIdentity(descriptor: 0) : FileIdentity(path: $0) }
    let arguments = arguments.isEmpty ? fallback.map { [$0] } ?? [] : arguments
    var names: [String: String] = [:]
    var files: [FileIdentity: String] = [:]
    for argument in arguments {
      let url: ExportURL
      do { url = try ExportURL(parsing: argument) } catch { throw .usage(error.description) }
      if case .tls = url.destination {
        do { _ = try TLSContext(url.tls) } catch { throw .usage("--export \(argument): \(error)") }
      }
      entries += try Self.entries(url.title(argument), url, exporters: exporters)
    }
    for entry in entries {
      let argument = entry.argument
      guard case .file(_, let path) = entry.url.destination else { continue }
      if let fixed = entry.url.file.pattern?.fixedPath, let problem = SystemFiles.kindOfNoFile(fixed) {
        throw .usage(
          "--export \(argument): it is \(problem), which is neither rotated nor compressed; name a file")
      }
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

  /// One output for all export lcores, or for a file one for each.
  private static func entries(_ argument: String, _ url: ExportURL, exporters: Int) throws(Failure) -> [Entry]
  {
    guard exporters > 1, case .file(_, let path) = url.destination, !SystemFiles.isDevice(path) else {
      return [Entry(argument: argument, url: url)]
    }
    // Who listens at a socket takes a connection from each.
    if let path, UnixSocket.path(path) != nil { return [Entry(argument: argument, url: url)] }
    guard let path, !SystemFiles.isFIFO(path) else {
      throw .usage(
        "--export \(argument): \(exporters) export lcores cannot write into one stream; name a file, or leave out --export-lcores"
      )
    }
    var entries: [Entry] = []
    for number in 0..<exporters {
      let numbered = Self.numbered(path, number + 1)
      let argument = argument.replacing(path, with: numbered, maxReplacements: 1)
      do {
        let url = try url.replacingPath(by: numbered, argument)
        entries.append(Entry(argument: argument, url: url, exporter: number))
      } catch { throw .usage(error.description) }
    }
    return entries
  }

  /// `flows.json` and 2 make `flows-2.json`.
  static func numbered(_ path: String, _ number: Int) -> String {
    let name = path.lastIndex(of: "/").map { path[path.index(after: $0)...] } ?? path[...]
    guard let dot = name.lastIndex(of: "."), dot > name.startIndex else { return "\(path)-\(number)" }
    return "\(path[..<dot])-\(number)\(path[dot...])"
  }

  /// The folders in which files of the outputs are made again, each with the export whose file it is.
  var folders: [(purpose: String, path: String)] {
    entries.compactMap { entry in
      guard case .file(_, let path?) = entry.url.destination, SystemFiles.kindOfNoFile(path) == nil,
        UnixSocket.path(path) == nil
      else { return nil }
      let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
      // One whose name tells the time is not there yet.
      if folder.contains("%") { return nil }
      return ("--export \(entry.argument)", folder)
    }
  }

  /// Looks whether so many collectors can share the records.
  func checkCollectors(_ mode: ExportMode) throws(Failure) {
    let shared = mode == .mirror ? 0 : entries.count { $0.url.isCollector }
    guard shared <= CollectorChoice.mostCollectors else {
      throw .usage(
        "--export-mode \(mode) is for at most \(CollectorChoice.mostCollectors) collectors, not \(shared)")
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

// `--check FILE`: everything that is wrong in a settings file, each with its line, before a probe is restarted with it.

/// The check of a settings file.
enum SettingsCheck {
  /// Checks a file and says all that is wrong with it but the last thing.
  ///
  /// - Returns: what to say of a file with nothing wrong.
  /// - Throws: the last thing that is wrong.
  static func answer(_ path: String) throws(Failure) -> String {
    let file = SettingsFile(path, EffectiveCommand.table) { EffectiveCommand.problem(of: $0) }
    var problems = file.problems
    // What single settings do not show: captures beside ports, the same file for two exports, a plugin that is there twice.
    problems += contradictions(file)
    if problems.isEmpty, let whole = EffectiveCommand.problem(of: file.words(without: [])) {
      problems.append(SettingsProblem(0, whole))
    }
    guard let last = problems.popLast() else {
      let count = file.options.count + (file.eal == nil ? 0 : 1)
      return "\(path): \(count) setting\(count == 1 ? "" : "s"), nothing wrong\n"
    }
    for problem in problems { logger.info("\(problem.description(in: path))") }
    throw .usage(last.description(in: path))
  }

  /// Settings that are about ports in a file that names captures. A command line that names either goes without the file's others,
  /// but a run of the file alone does not start.
  private static func contradictions(_ file: SettingsFile) -> [SettingsProblem] {
    guard let captures = file.lines[OptionTable.captures] else { return [] }
    let aboutPorts = [EALSettings.section, "interface", "queues", "config"]
    return aboutPorts.compactMap { name in
      guard let line = file.lines[name] else { return nil }
      return SettingsProblem(
        line,
        "'\(name)' is about ports, and captures are read without them ('\(OptionTable.captures)', line \(captures)): leave one out"
      )
    }.sorted { $0.line < $1.line }
  }
}

// A settings file as words of a command line, so that the options' declarations check its values as they check what is typed.
import Glibc

/// A settings file, read and checked.
struct SettingsFile {
  /// As the user named it.
  let path: String
  /// The words of each option, by its long name, in the order of the file.
  private(set) var options: [(name: String, words: [String])] = []
  /// EAL's options; nil where there is no such section.
  private(set) var eal: EALSettings?
  /// All that is wrong, in the order of lines.
  private(set) var problems: [SettingsProblem] = []

  /// The longest file that is read, in bytes.
  static let longest = 1 << 20

  /// Reads a file.
  ///
  /// - Parameters:
  ///   - table: the options that there are.
  ///   - check: what is wrong with the words of one option; nil for nothing.
  init(_ path: String, _ table: OptionTable, check: (_ words: [String]) -> String?) {
    self.path = path
    do throws(SettingsProblem) {
      let document = try SettingsDocument(try Self.bytes(of: path))
      problems = document.problems
      for setting in document.settings { add(setting, table, check) }
    } catch {
      problems.append(error)
    }
    problems.sort { $0.line < $1.line }
  }

  /// The first thing that is wrong, as a line.
  var failure: Failure? {
    problems.first.map { .usage("\($0.description(in: path)) (martlet --check \(path))") }
  }

  /// The words of a command line, without those of options that it has itself.
  func words(without names: Set<String>) -> [String] {
    options.filter { !names.contains($0.name) }.flatMap(\.words)
  }

  private mutating func add(_ setting: Setting, _ table: OptionTable, _ check: ([String]) -> String?) {
    func refuse(_ text: String, line: Int? = nil) {
      problems.append(SettingsProblem(line ?? setting.line, text))
    }
    if setting.name == EALSettings.section {
      eal = EALSettings(setting.content, line: setting.line, problems: &problems)
      return
    }
    guard let option = table[setting.name] else {
      let names = table.settable.flatMap(\.names) + [EALSettings.section]
      let nearest = OptionTable.nearest(setting.name, among: names)
      return refuse(
        "there is no setting '\(setting.name)'"
          + (nearest.map { ": do you mean '\($0)'?" } ?? " (martlet --help)"))
    }
    guard !option.isQuestion else {
      return refuse("'\(setting.name)' is for the command line, not for a settings file")
    }
    guard !options.contains(where: { $0.name == option.name }) else {
      return refuse("'\(setting.name)' is there twice, also as '\(option.name)': leave one out")
    }
    let values: [SettingsValue]
    switch setting.content {
    case .one(let value): values = [value]
    case .list(let list):
      guard option.isRepeating else { return refuse("'\(setting.name)' takes one value, not a list") }
      guard !list.isEmpty else { return refuse("the list of '\(setting.name)' is empty: leave it out") }
      values = list
    case .section: return refuse("'\(setting.name)' takes a value, not names with values")
    }
    var words: [String] = []
    for value in values {
      guard !value.isNull else { return refuse("'\(setting.name)' has no value", line: value.line) }
      guard !value.hasStrayControl else {
        return refuse(
          "the value of '\(setting.name)' has a line end or a control character in it: write it in double quotes, as \\n",
          line: value.line)
      }
      if option.isFlag {
        guard value.isPlain, ["true", "false"].contains(value.text) else {
          return refuse("'\(setting.name)' is true or false, not '\(value.text)'", line: value.line)
        }
        if value.text == "true" { words.append("--\(option.name)") }
      } else {
        words.append("--\(option.name)=\(value.text)")
        if let problem = check([words[words.count - 1]]) { refuse(problem, line: value.line) }
      }
    }
    options.append((option.name, words))
  }

  /// The bytes of a file of text.
  private static func bytes(of path: String) throws(SettingsProblem) -> [UInt8] {
    var status = stat()
    guard stat(path, &status) == 0 else { throw SettingsProblem(0, "\(errorText(errno)): check the name") }
    if status.st_mode & S_IFMT == S_IFDIR {
      throw SettingsProblem(0, "this is a directory: name a settings file")
    }
    guard status.st_size <= longest else {
      throw SettingsProblem(
        0, "it has \(status.st_size) bytes, which no settings file needs (\(longest) at most)")
    }
    // A FIFO with nobody at its other end would be waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw SettingsProblem(0, "\(errorText(errno)): make it readable") }
    defer { close(descriptor) }
    // What a process writes there (`<(…)` in a shell) is waited for.
    _ = fcntl(descriptor, F_SETFL, 0)
    let bytes: [UInt8]
    do { bytes = try SystemFiles.contents(descriptor, atMost: longest) } catch {
      throw SettingsProblem(0, error.reason)
    }
    guard bytes.count <= longest else {
      throw SettingsProblem(0, "it has more than \(longest) bytes, which no settings file needs")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw SettingsProblem(0, "this is no text in UTF-8: save it as such")
    }
    guard !text.unicodeScalars.contains("\0") else {
      throw SettingsProblem(0, "there is a NUL in it: this is no text")
    }
    return bytes
  }
}

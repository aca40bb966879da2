// `--user` and `--seccomp`: as whom, and with which system calls, the process goes on when all is open.

/// A user and a group by their names.
struct UserName: Equatable, Sendable {
  /// The user's name, or its number.
  var user: String
  /// The group's; nil for the user's own groups.
  var group: String?

  /// Reads `NAME[:GROUP]`.
  init(_ text: String) throws {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }), let name = parts.first else {
      throw InvalidValue("'\(text)' is not NAME[:GROUP], as martlet or martlet:adm")
    }
    user = name
    group = parts.count > 1 ? parts[1] : nil
  }
}

/// Whether system calls are filtered when all is open.
enum SystemCallPolicy: String, CaseIterable, Sendable {
  /// Those that are not named fail.
  case on
  /// All are there.
  case off
}

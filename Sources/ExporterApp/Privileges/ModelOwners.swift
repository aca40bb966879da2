// Whose models a process runs: who may write a model's files decides what the process does.
import FlowCore
import Glibc

extension BuiltInSchema {
  /// Loads the models of `--plugin model`: root's, the process's own, and those of the user that it goes on as.
  ///
  /// - Throws: a model that cannot be used (usage).
  func loadModels(_ configuration: RunConfiguration) throws(Failure) {
    var owners: Set<UInt32> = [0, geteuid()]
    if let name = configuration.user { owners.insert(try UserAccount(name).user) }
    do {
      try loadModels(owners: owners)
    } catch {
      throw .usage(error.description)
    }
  }
}

// The databases of a run that goes on: a settings file that is read again may name others.

/// What a live run knows of addresses.
struct ReplaceableDatabases: ReplaceablePart {
  /// nil where the run was started without any.
  let databases: AddressDatabases?

  var options: Set<String> { ["mmdb"] }

  func replace(by configuration: RunConfiguration) throws(Failure) {
    guard let databases else {
      // Templates and the columns of tables are made at the start.
      throw .general(
        "a run that was started without --mmdb has no fields for what databases know, so that they take effect at the next start"
      )
    }
    try databases.replace(by: configuration.addressDatabases)
  }
}

// Where in a record the states lie that plugins ask each other for.

/// Where the states of the enabled plugins lie in a record, by the plugins' types.
///
/// Safe between threads: nothing changes after `init`.
struct PluginStates: BitwiseCopyable, @unchecked Sendable {
  struct Entry: BitwiseCopyable {
    var plugin: ObjectIdentifier
    var offset: Int
  }

  private let entries: UnsafePointer<Entry>?
  private let count: Int

  /// No plugin at all.
  init() { (entries, count) = (nil, 0) }

  /// These, which stay until `free`.
  init(_ list: [Entry]) {
    let memory = UnsafeMutableBufferPointer<Entry>.allocate(capacity: max(1, list.count))
    _ = memory.initialize(from: list)
    (entries, count) = (memory.baseAddress.map { UnsafePointer($0) }, list.count)
  }

  /// Frees the list, which nobody reads any more.
  func free() { entries?.deallocate() }

  /// Where the state of the plugin of this type begins, from the record's start; nil where it is not enabled.
  @inline(__always)
  func offset(of plugin: ObjectIdentifier) -> Int? {
    guard let entries else { return nil }
    var index = 0
    while index < count {
      // Safe: the list has `count` entries.
      if entries[index].plugin == plugin { return entries[index].offset }
      index &+= 1
    }
    return nil
  }
}

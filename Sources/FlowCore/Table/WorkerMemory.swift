// What plugins find of their worker, whichever flow they work on.

/// Where the worker's own lies, made once: a hook is given one address for all of it.
struct WorkerMemory: BitwiseCopyable {
  let slab: UnsafeMutablePointer<Slab>
  let shortfalls: UnsafeMutablePointer<PluginShortfalls>
  /// Where the plugins' states lie in a record.
  let states: PluginStates
  /// What each slot's plugin keeps for the worker.
  let contexts: UnsafeMutablePointer<UnsafeMutableRawPointer>
}

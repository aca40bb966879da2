// What plugins keep for a worker (`FlowPlugin.WorkerContext`): made before its first packet, freed with it.

/// Makes, or frees, what a slot's plugin keeps for a worker.
struct WorkerContexts<Registry: PluginRegistry> {
  /// A place for each slot.
  let memory: UnsafeMutablePointer<UnsafeMutableRawPointer>
  private let slots: UnsafeMutableBufferPointer<PluginSlot<Registry>>

  /// - Throws: what a plugin could not make; the others' are freed.
  init(_ slots: UnsafeMutableBufferPointer<PluginSlot<Registry>>) throws(FlowSetupError) {
    self.slots = slots
    memory = .allocate(capacity: max(1, slots.count))
    for index in slots.indices {
      var call = MakeContextCall(slot: slots[index])
      slots[index].registration.visit(&call)
      guard let made = call.made else {
        free(first: index)
        throw call.error ?? .plugin("plugin number \(index) has no worker context")
      }
      (memory + index).initialize(to: made)
    }
  }

  func free() { free(first: slots.count) }

  private func free(first count: Int) {
    for index in 0..<count {
      var call = FreeContextCall(slot: slots[index], memory: memory[index])
      slots[index].registration.visit(&call)
    }
    memory.deallocate()
  }
}

private struct MakeContextCall<Registry: PluginRegistry>: PluginVisitor {
  let slot: PluginSlot<Registry>
  var made: UnsafeMutableRawPointer?
  var error: FlowSetupError?

  init(slot: PluginSlot<Registry>) { self.slot = slot }

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    do throws(FlowSetupError) {
      let context = try slot.value(type).pointee.makeWorkerContext()
      let place = UnsafeMutablePointer<P.WorkerContext>.allocate(capacity: 1)
      place.initialize(to: context)
      made = UnsafeMutableRawPointer(place)
    } catch {
      self.error = error
    }
  }
}

private struct FreeContextCall<Registry: PluginRegistry>: PluginVisitor {
  let slot: PluginSlot<Registry>
  let memory: UnsafeMutableRawPointer

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    // Safe: `MakeContextCall` made it for the same slot, so of the same type; it is freed once, with the list.
    let place = memory.assumingMemoryBound(to: P.WorkerContext.self)
    slot.value(type).pointee.freeWorkerContext(place.pointee)
    place.deallocate()
  }
}

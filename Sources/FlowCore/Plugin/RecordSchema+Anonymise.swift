// Records without the addresses that packets had: which plugins that concerns, and how a record's are replaced.
import CIntrinsics
import Wire

extension RecordSchema {
  /// The names of the enabled plugins whose fields have payload or names.
  public var contentPlugins: [String] {
    layout.slots.compactMap { slot in
      var question = ContentQuestion()
      slot.registration.visit(&question)
      return question.exportsContent ? question.name : nil
    }
  }

  /// The plugins (bit = slot) whose states hold addresses.
  func slotsWithAddresses() -> UInt64 {
    var found: UInt64 = 0
    for slot in layout.slots {
      var question = ContentQuestion()
      slot.registration.visit(&question)
      if question.hasAddresses { found |= 1 &<< UInt64(slot.index) }
    }
    return found
  }

  /// Replaces the addresses of records that have left their tables, for all outputs; once for each.
  public func anonymise(
    _ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int, by anonymiser: Anonymiser
  ) {
    var index = 0
    while index < count {
      // Safe: the caller has `count` records.
      let ahead = index &+ 4
      if ahead < count, let record = records[ahead] {
        martlet_prefetch(record)
        martlet_prefetch(record + 64)
      }
      if let record = records[index] { anonymise(record, by: anonymiser) }
      index &+= 1
    }
  }

  private func anonymise(_ record: UnsafeMutableRawPointer, by anonymiser: Anonymiser) {
    martlet_trace_record(record)
    let head = record.flowRecord
    head.pointee.anonymise(anonymiser)
    var rest = head.pointee.presence & addressSlots
    while rest != 0 {
      let slot = slots[rest.trailingZeroBitCount]
      var call = AnonymiseCall(slot: slot, record: record, anonymiser: anonymiser)
      slot.registration.visit(&call)
      rest &= rest &- 1
    }
    martlet_trace_record(nil)
  }
}

/// Asks a plugin what its fields give away.
private struct ContentQuestion: PluginVisitor {
  private(set) var name = ""
  private(set) var exportsContent = true
  private(set) var hasAddresses = false

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    (name, exportsContent, hasAddresses) = (P.name, P.exportsContent, P.hasAddresses)
  }
}

/// Has a plugin replace the addresses in one record's state.
private struct AnonymiseCall<Registry: PluginRegistry>: PluginVisitor {
  let slot: PluginSlot<Registry>
  let record: UnsafeMutableRawPointer
  let anonymiser: Anonymiser

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    guard P.hasAddresses else { return }
    slot.value(type).pointee.anonymise(&slot.state(type, record.flowRecord).pointee, anonymiser)
  }
}

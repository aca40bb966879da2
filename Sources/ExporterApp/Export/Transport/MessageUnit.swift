// Messages that lie back to back in a file's or a spool's queue: where each of them ends, and what it holds.
import IPFIX
import Wire

/// One of several messages that lie back to back.
struct MessageUnit: BitwiseCopyable, Sendable {
  /// Where it ends.
  var end: Int
  /// The records of flows it holds.
  var records: Int
  /// The options records it holds, which count in the sequence, too.
  var options = 0
}

extension MessageBatch {
  /// Where the messages end.
  var units: GrowableList<MessageUnit> {
    var units = GrowableList<MessageUnit>(capacity: messages.count)
    var index = 0
    while index < messages.count {
      let message = messages[index]
      units.append(
        MessageUnit(
          end: message.offset &+ message.length, records: message.records, options: message.options))
      index &+= 1
    }
    return units
  }

  /// Whether one of the messages has a set of templates.
  var holdsTemplates: Bool {
    var index = 0
    while index < messages.count {
      if MessageQueue.holdsTemplates(self[messages[index]]) { return true }
      index &+= 1
    }
    return false
  }
}

// What a plugin keeps of a flow begins as zero bytes, because the engine zeroes a record with one store per line. A state
// whose declaration says otherwise is found here, at start and in tests.

/// A plugin's state of one flow: plain bytes, of which all zero mean "nothing seen yet".
///
/// There is nothing to write for it: a structure whose members all have a value in their declaration has `init()`. It is
/// never called for a flow. At start it is, once, to see that these values are zero, as those in a flow's record are.
public protocol FlowState: BitwiseCopyable {
  /// The state as its declaration says that it begins.
  init()
}

/// One member of a state, or of a structure in it, that has no members that are looked into.
struct StateMember {
  /// What the dry run may write into it.
  enum Kind: Equatable {
    /// A whole number, which may be anything.
    case number(isSigned: Bool)
    /// A reference to a slab block.
    case block
    /// Bytes in a slab block: a reference and a length.
    case stored
    /// A Bool, an enumeration, an optional, an array: bytes that are 0 or 1 are values of all of these.
    case other
  }

  /// The names that lead to it, as `forward.count`.
  let path: String
  let kind: Kind
  /// Where it lies in the state, in bytes.
  let offset: Int
  let size: Int
}

extension FlowState {
  /// The members that the state consists of, in order; padding belongs to none.
  static func members() -> [StateMember] {
    var members: [StateMember] = []
    collectMembers(of: Self(), path: "", offset: 0, into: &members)
    return members
  }

  /// The first member whose value in the declaration is not zero; nil where all are.
  static func firstNonzeroMember() -> String? {
    let size = MemoryLayout<Self>.size
    // Twice, on different bytes: what is not written is padding, and has no value.
    func bytes(on filling: UInt8) -> [UInt8] {
      withUnsafeTemporaryAllocation(
        byteCount: max(size, 1), alignment: max(MemoryLayout<Self>.alignment, 1)
      ) { buffer in
        guard let base = buffer.baseAddress else { return [] }
        // Safe: the buffer has the bytes of one `Self`, or more, and its alignment; all of them are written first.
        base.initializeMemory(as: UInt8.self, repeating: filling, count: buffer.count)
        base.initializeMemory(as: Self.self, to: Self())
        return (0..<size).map { base.load(fromByteOffset: $0, as: UInt8.self) }
      }
    }
    let (one, other) = (bytes(on: 0), bytes(on: 0xFF))
    return members().first { member in
      (member.offset..<member.offset + member.size).contains { one[$0] != 0 && other[$0] != 0 }
    }?.path
  }
}

/// Adds the members of `value`, which lies at `offset` of the state under the name `path`.
private func collectMembers(of value: Any, path: String, offset: Int, into members: inout [StateMember]) {
  let size = layout(of: value).size
  guard size > 0 else { return }
  func end(_ kind: StateMember.Kind) {
    members.append(StateMember(path: path, kind: kind, offset: offset, size: size))
  }
  if value is BlockReference { return end(.block) }
  if value is StoredBytes { return end(.stored) }
  if let number = value as? any FixedWidthInteger { return end(.number(isSigned: isSigned(number))) }
  // Reflection cannot look into arrays, whose members have no names.
  if "\(type(of: value))".hasPrefix("InlineArray<") { return end(.other) }
  let mirror = Mirror(reflecting: value)
  guard mirror.displayStyle == .struct || mirror.displayStyle == .tuple, !mirror.children.isEmpty else {
    return end(.other)
  }
  // The members of a structure lie one behind the other, each at the next multiple of its alignment.
  var inner: [StateMember] = []
  var place = 0
  for child in mirror.children {
    let (size, alignment) = layout(of: child.value)
    place = (place + alignment - 1) / alignment * alignment
    let name = child.label ?? "?"
    collectMembers(
      of: child.value, path: path.isEmpty ? name : "\(path).\(name)", offset: offset + place, into: &inner)
    place += size
  }
  // A structure from C may have members that reflection does not show.
  guard place == size else { return end(.other) }
  members += inner
}

private func layout(of value: Any) -> (size: Int, alignment: Int) {
  func layout<Value>(_ type: Value.Type) -> (size: Int, alignment: Int) {
    (MemoryLayout<Value>.size, MemoryLayout<Value>.alignment)
  }
  return _openExistential(type(of: value), do: layout)
}

private func isSigned<Number: FixedWidthInteger>(_ number: Number) -> Bool { Number.isSigned }

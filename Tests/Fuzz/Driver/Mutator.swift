// Mutations that keep the structure of a list of segments: what one does to traffic, not to bytes.
import FuzzTargets

/// libFuzzer's own mutations of bytes.
@_silgen_name("LLVMFuzzerMutate")
private func mutateBytes(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ limit: Int) -> Int

/// A generator with libFuzzer's seed, so that a run repeats.
private struct MutationGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}

/// libFuzzer calls it in place of its own mutations. Every other time, and for the other targets always, it is those.
@_cdecl("LLVMFuzzerCustomMutator")
public func mutate(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ limit: Int, _ seed: UInt32) -> Int {
  var generator = MutationGenerator(state: UInt64(seed))
  guard chosenTarget == .segments, generator.next() & 3 != 0 else { return mutateBytes(data, size, limit) }
  var (shape, segments) = SegmentInput.decode(UnsafeRawBufferPointer(start: data, count: size))
  guard !segments.isEmpty else { return mutateBytes(data, size, limit) }
  for _ in 0...Int.random(in: 0..<3, using: &generator) {
    segments = mutated(segments, &generator)
  }
  if generator.next() & 15 == 0 { shape ^= 1 << UInt8(generator.next() & 7) }
  let bytes = SegmentInput.encode(shape: shape, segments)
  let count = min(bytes.count, limit)
  for index in 0..<count { data[index] = bytes[index] }
  return count
}

/// The segments after one change.
private func mutated(
  _ segments: [SegmentInput.Segment], _ generator: inout MutationGenerator
) -> [SegmentInput.Segment] {
  var segments = segments
  guard !segments.isEmpty else { return segments }
  let place = Int.random(in: 0..<segments.count, using: &generator)
  let other = Int.random(in: 0..<segments.count, using: &generator)
  let count = segments[place].payload.count
  switch Int.random(in: 0..<10, using: &generator) {
  case 0: segments.insert(segments[place], at: other)
  case 1: if segments.count > 1 { segments.remove(at: place) }
  case 2: segments.swapAt(place, other)
  case 3: segments[place].kind ^= 1 << UInt8(generator.next() & 7)
  case 4: segments[place].offset = Int16(clamping: Int.random(in: -count - 8...count + 8, using: &generator))
  case 5:
    // Cut in two.
    guard count > 1 else { break }
    let cut = Int.random(in: 1..<count, using: &generator)
    var rest = segments[place]
    rest.payload = Array(rest.payload[cut...])
    segments[place].payload = Array(segments[place].payload[..<cut])
    rest.offset = 0
    segments.insert(rest, at: place + 1)
  case 6:
    // Sent again, with other bytes, overlapping what came before.
    var again = segments[place]
    again.payload = segments[other].payload
    again.offset = Int16(clamping: -Int.random(in: 0...count, using: &generator))
    segments.insert(again, at: place + 1)
  case 7:
    segments[place].time = UInt8(truncatingIfNeeded: generator.next())
    segments[place].port = UInt8(truncatingIfNeeded: generator.next() & 15)
  case 8:
    // DTLS: the fragment that a whole message could be, or was: offset and length of the fragment are behind byte 18.
    guard count > 25 else { break }
    let length = Int.random(in: 0...(count - 25), using: &generator)
    segments[place].payload[23] = UInt8(length >> 8 & 0xFF)
    segments[place].payload[24] = UInt8(length & 0xFF)
    if generator.next() & 1 == 0 { segments[place].payload.removeLast(count - 25 - length) }
  default:
    var payload = segments[place].payload
    let room = min(4095, count + 64)
    payload += [UInt8](repeating: 0, count: room - count)
    let length = payload.withUnsafeMutableBufferPointer { buffer -> Int in
      guard let base = buffer.baseAddress, count > 0 else { return 0 }
      return mutateBytes(base, count, room)
    }
    segments[place].payload = Array(payload.prefix(length))
  }
  return segments
}

// The program's own capture reader, whose files are linked into this folder: they lie in an executable, which other
// executables cannot import.
import FlowCore

/// Reads captures for the fuzzer as an offline run does.
public enum FuzzedCapture {
  /// Calls `prepare` with the link type and `packet` for each packet (bytes, length on the wire, nanoseconds since 1970)
  /// until it answers false.
  public static func read(
    path: String, prepare: (LinkType) -> Void,
    packet: (UnsafeRawBufferPointer, UInt32, UInt64) -> Bool
  ) {
    do {
      let capture = try Capture(path)
      prepare(capture.linkType)
      var burst = CaptureBurst()
      while true {
        var isLast = false
        while !burst.isFull, !isLast {
          if case .packet(let next) = capture.next() { burst.append(next) } else { isLast = true }
        }
        for index in 0..<burst.count {
          let frame = burst.frames[index]
          let bytes = UnsafeRawBufferPointer(start: frame.bytes, count: Int(frame.captured))
          if !packet(bytes, frame.wire, burst.times[index]) { return }
        }
        burst.removeAll()
        if isLast { return }
      }
    } catch {
      // Refused: the usual end of a mutated file.
    }
  }
}

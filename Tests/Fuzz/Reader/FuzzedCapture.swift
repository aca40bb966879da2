// The program's own capture reader, as the fuzzer and the engine's tests use it.
import Captures
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
        var leftOut = CaptureBurst.LeftOut()
        let filling = burst.fill(from: capture, through: nil, leftOut: &leftOut)
        for index in 0..<burst.count {
          let frame = burst.frames[index]
          let bytes = UnsafeRawBufferPointer(start: frame.bytes, count: Int(frame.captured))
          if !packet(bytes, frame.wire, burst.times[index]) { return }
        }
        burst.removeAll()
        guard case .more = filling else { return }
      }
    } catch {
      // Refused: the usual end of a mutated file.
    }
  }
}

// A capture file of any bytes: libpcap's readers, Martlet's around them, and the engine behind.
import CaptureReader
import FlowCore
import Glibc

enum CaptureInput {
  /// A file in memory that has no name; each input replaces the one before. Opening it by its descriptor starts at 0.
  private static let file: Int32 = {
    var name = Array("/dev/shm/martlet-fuzz.XXXXXX".utf8CString)
    let file = mkstemp(&name)
    if file >= 0 { unlink(name) }
    return file
  }()

  static func run(_ input: UnsafeRawBufferPointer, _ harness: EngineHarness) -> String? {
    guard file >= 0, ftruncate(file, 0) == 0, pwrite(file, input.baseAddress, input.count, 0) == input.count
    else { return "the file of the input: \(errno)" }
    var run = harness.makeRun(3)
    var frames = 0
    FuzzedCapture.read(
      path: "/proc/self/fd/\(file)", prepare: { run.worker.linkType = $0 },
      packet: { bytes, wire, time in
        frames += 1
        let missing = UInt32(clamping: Int(wire) - bytes.count)
        run.add(FuzzFrame(bytes: Array(bytes), missing: missing, time: time))
        return frames < 512
      })
    return run.finish()
  }
}

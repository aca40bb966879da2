// A connection of SSH: what both sides say before they encrypt.

/// `| shape 1 | cut 2 | client's length 2 | client's bytes | server's bytes |`, sent in pieces of `cut` bytes; the server's first
/// where the cut is odd.
enum SSHInput {
  /// The place of SSH's port in `SegmentInput.ports`.
  private static let port: UInt8 = 8

  static func run(_ input: UnsafeRawBufferPointer, _ harness: EngineHarness) -> String? {
    var reader = InputReader(input)
    var run = harness.makeRun(reader.byte())
    let cut = Int(reader.word() & 0x07FF)
    let client = reader.take(Int(reader.word()))
    let server = reader.take(reader.remaining)
    var conversation = SegmentInput.Conversation()
    for direction in (cut & 1 == 0 ? [0, 1] : [1, 0]) as [UInt8] {
      let bytes = direction == 0 ? client : server
      let step = max(cut, bytes.count / 48 + 1)
      for start in stride(from: 0, to: bytes.count, by: step) {
        let piece = Array(bytes[start..<min(start + step, bytes.count)])
        conversation.send(
          SegmentInput.Segment(kind: direction, flags: 0x18, offset: 0, port: port, payload: piece), &run)
      }
    }
    return run.finish()
  }

  /// An input of two sides that offer one algorithm for each purpose.
  static func seed() -> [UInt8] {
    func word(_ value: Int) -> [UInt8] { [0, 0, UInt8(value >> 8 & 255), UInt8(value & 255)] }
    let names = ["curve25519-sha256", "ssh-ed25519", "aes128-ctr", "hmac-sha2-256", "none", ""]
    var body = [20] + [UInt8](repeating: 0x55, count: 16)
    for index in [0, 1, 2, 2, 3, 3, 4, 4, 5, 5] {
      body += word(names[index].utf8.count) + Array(names[index].utf8)
    }
    body += [0, 0, 0, 0, 0]
    let packet = word(body.count + 5) + [4] + body + [0, 0, 0, 0]
    let client = Array("SSH-2.0-fuzz\r\n".utf8) + packet
    let server = Array("Welcome\r\nSSH-1.99-fuzz\n".utf8) + packet
    return [3, 0, 2, UInt8(client.count & 255), UInt8(client.count >> 8)] + client + server
  }
}

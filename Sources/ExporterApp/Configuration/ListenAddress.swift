// `--metrics`: where somebody may ask.

/// A numeric address and a port of this machine.
struct ListenAddress: Equatable, Sendable, CustomStringConvertible {
  /// IPv4 or IPv6, without brackets.
  var host: String
  var port: UInt16

  /// Reads `PORT`, which is 127.0.0.1's, `ADDR:PORT`, or `[ADDR]:PORT` for IPv6.
  init(_ text: String) throws {
    let wanted = InvalidValue(
      "'\(text)' is not PORT, ADDR:PORT or [IPv6]:PORT, as 9477, 0.0.0.0:9477 or [::1]:9477")
    let colon = text.lastIndex(of: ":")
    guard let port = UInt16(text[(colon.map(text.index(after:)) ?? text.startIndex)...]), port > 0 else {
      throw wanted
    }
    self.port = port
    guard let colon else {
      host = "127.0.0.1"
      return
    }
    let address = text[..<colon]
    let isBracketed = address.hasPrefix("[") && address.hasSuffix("]")
    host = String(isBracketed ? address.dropFirst().dropLast() : address)
    // Without brackets nobody can tell where an IPv6 address ends.
    guard !host.isEmpty, isBracketed == host.contains(":"), !host.contains("[") else { throw wanted }
  }

  /// As it is written.
  var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

// The control bits of TCP.

/// Bits of the TCP flags octet (RFC 9293 section 3.1, RFC 3168 section 6.1).
public enum TCPFlags {
  public static let fin: UInt8 = 0x01
  public static let syn: UInt8 = 0x02
  public static let reset: UInt8 = 0x04
  public static let push: UInt8 = 0x08
  public static let acknowledge: UInt8 = 0x10
  /// Either ends the direction in which it was seen.
  public static let finOrReset: UInt8 = 0x05
  /// None of them is on a segment of ordinary data.
  public static let synFinOrReset: UInt8 = 0x07
}

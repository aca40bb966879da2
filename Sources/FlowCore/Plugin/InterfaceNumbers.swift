// What ingressInterface says of the ports that packets come from.

/// The exported number of each port.
///
/// Safe between threads: the numbers are set before the first record, and after that only read.
final class InterfaceNumbers: @unchecked Sendable {
  /// More than DPDK can be built for; port numbers beyond share one place.
  private static var ports: Int { 1024 }
  private let numbers: UnsafeMutablePointer<UInt32>

  /// Each port has its own number plus 1.
  init() {
    numbers = .allocate(capacity: Self.ports)
    for port in 0..<Self.ports { (numbers + port).initialize(to: UInt32(port) + 1) }
  }

  deinit { numbers.deallocate() }

  /// The number of a port.
  @inline(__always)
  subscript(port: Int) -> UInt32 {
    // Safe: there are as many numbers as the mask lets through, a power of two.
    get { numbers[port & (Self.ports &- 1)] }
    set { numbers[port & (Self.ports &- 1)] = newValue }
  }
}

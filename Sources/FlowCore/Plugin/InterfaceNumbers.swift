// What ingressInterface and interfaceName say of the ports that packets come from.
import Wire

/// The exported number of each port, and its name.
///
/// Safe between threads: the numbers are set before the first record, and after that only read.
final class InterfaceNumbers: @unchecked Sendable {
  /// More than DPDK can be built for; port numbers beyond share one place.
  private static var ports: Int { 1024 }
  private let numbers: UnsafeMutablePointer<UInt32>
  /// The names' octets, allocated for each.
  private let names: UnsafeMutablePointer<UnsafeMutableRawBufferPointer>

  /// Each port has its own number plus 1.
  init() {
    numbers = .allocate(capacity: Self.ports)
    for port in 0..<Self.ports { (numbers + port).initialize(to: UInt32(port) + 1) }
    names = .allocate(capacity: Self.ports)
    names.initialize(repeating: .init(start: nil, count: 0), count: Self.ports)
  }

  deinit {
    numbers.deallocate()
    for port in 0..<Self.ports { names[port].deallocate() }
    names.deallocate()
  }

  /// The name of a port; it stays as long as this.
  @inline(__always)
  func name(_ port: Int) -> Bytes { Bytes(UnsafeRawBufferPointer(names[port & (Self.ports &- 1)])) }

  /// Names a port.
  func setName(_ name: String, _ port: Int) {
    let place = names + (port & (Self.ports &- 1))
    place.pointee.deallocate()
    place.pointee = .allocate(byteCount: name.utf8.count, alignment: 1)
    place.pointee.copyBytes(from: name.utf8)
  }

  /// The number of a port.
  @inline(__always)
  subscript(port: Int) -> UInt32 {
    // Safe: there are as many numbers as the mask lets through, a power of two.
    get { numbers[port & (Self.ports &- 1)] }
    set { numbers[port & (Self.ports &- 1)] = newValue }
  }
}

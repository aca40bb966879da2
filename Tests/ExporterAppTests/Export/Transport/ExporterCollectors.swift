// Collectors for the tests: real sockets on the loopback, nothing leaves the machine.
import FlowCore
import Glibc
import IPFIX
import IPFIXDecoding

@testable import ExporterApp

enum Loopback {
  /// A bound socket of a family and the port it got (or was asked for).
  static func bound(_ type: __socket_type, ipv6: Bool = false, port: UInt16 = 0) -> (
    socket: Int32, port: UInt16
  ) {
    let descriptor = socket(ipv6 ? AF_INET6 : AF_INET, Int32(type.rawValue), 0)
    var on: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, 4)
    var storage = sockaddr_storage()
    var length = socklen_t(ipv6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size)
    return withUnsafeMutableBytes(of: &storage) { bytes in
      if ipv6 {
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        address.sin6_addr = in6addr_loopback
        bytes.storeBytes(of: address, as: sockaddr_in6.self)
      } else {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        bytes.storeBytes(of: address, as: sockaddr_in.self)
      }
      let pointer = bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self)
      precondition(bind(descriptor, pointer, length) == 0, "cannot bind")
      getsockname(descriptor, pointer, &length)
      // The port stands at the same place in both families.
      return (descriptor, UInt16(bytes[2]) << 8 | UInt16(bytes[3]))
    }
  }

  /// True when the descriptor is readable within the time.
  static func isReadable(_ descriptor: Int32, milliseconds: Int32) -> Bool {
    var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&waiting, 1, milliseconds) > 0
  }

  /// A port on which nothing listens.
  static func unusedPort(_ type: __socket_type = SOCK_DGRAM) -> UInt16 {
    let (descriptor, port) = bound(type)
    close(descriptor)
    return port
  }
}

/// A UDP collector.
final class UDPCollector {
  let port: UInt16
  private let descriptor: Int32
  private(set) var messages: [DecodedMessage] = []
  private var decoder = MessageDecoder()

  init(ipv6: Bool = false, port: UInt16 = 0) {
    (descriptor, self.port) = Loopback.bound(SOCK_DGRAM, ipv6: ipv6, port: port)
    var size: Int32 = 4 << 20
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
  }

  deinit { close(descriptor) }

  /// Receives until nothing comes for a while.
  func receive(milliseconds: Int32 = 100) throws {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while Loopback.isReadable(descriptor, milliseconds: milliseconds) {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count > 0 { messages.append(try decoder.decode(Array(buffer[..<count]))) }
    }
  }

  var records: [DecodedRecord] { messages.flatMap(\.records) }
}

/// A TCP collector: listens, takes one connection at a time.
final class TCPCollector {
  let port: UInt16
  private let listener: Int32
  private var connection: Int32 = -1
  private(set) var bytes: [UInt8] = []

  init(port: UInt16 = 0, ipv6: Bool = false, receiveBuffer: Int32? = nil) {
    (listener, self.port) = Loopback.bound(SOCK_STREAM, ipv6: ipv6, port: port)
    if var size = receiveBuffer { setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, 4) }
    precondition(listen(listener, 4) == 0)
  }

  deinit {
    hangUp()
    close(listener)
  }

  /// Accepts a connection if one comes within the time.
  func accept(milliseconds: Int32 = 60_000) -> Bool {
    guard Loopback.isReadable(listener, milliseconds: milliseconds) else { return false }
    connection = Glibc.accept(listener, nil, nil)
    bytes = []
    return connection >= 0
  }

  /// Reads until nothing comes for a while, or at most so many octets.
  func receive(milliseconds: Int32 = 100, atMost limit: Int = .max) {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while bytes.count < limit, connection >= 0, Loopback.isReadable(connection, milliseconds: milliseconds) {
      let count = recv(connection, &buffer, min(buffer.count, limit - bytes.count), 0)
      guard count > 0 else { return }
      bytes += buffer[..<count]
    }
  }

  func hangUp() {
    if connection >= 0 { close(connection) }
    connection = -1
  }

  /// The whole messages of this connection; the last one may be cut off.
  func messages() throws -> [DecodedMessage] {
    var decoder = MessageDecoder()
    var end = 0
    while end + 16 <= bytes.count {
      let length = Int(bytes[end + 2]) << 8 | Int(bytes[end + 3])
      guard end + length <= bytes.count else { break }
      end += length
    }
    return try decoder.decodeAll(Array(bytes[..<end]))
  }
}

let counterElement = InformationElement(.iana, 10, "ingressInterface", .unsigned32)
let contentElement = InformationElement(.cesnet, 850, "IDPContent", .octetArray)

extension IPFIXOutput {
  /// An output for records that tests write themselves.
  convenience init(
    _ configuration: MessageStream.Configuration, transport: any MessageTransport, now: Moment = .current
  ) {
    // Without plugins there is nothing that could be refused.
    self.init(configuration, schema: try! BuiltInSchema(plugins: []), transport: transport, now: now)
  }

  /// A record that carries its number and some bytes to make it long.
  func append(number: UInt32, key: UInt64 = 1, padding: Int = 40) {
    let bytes = [UInt8](repeating: 0xAA, count: padding)
    append(
      key: key,
      describe: {
        $0.unsigned32(counterElement, 0)
        $0.octets(contentElement, bytes.span.bytes)
      },
      encode: {
        $0.unsigned32(counterElement, number)
        $0.octets(contentElement, bytes.span.bytes)
      })
  }
}

extension DecodedRecord {
  /// The number that `append(number:)` wrote.
  var number: UInt32? {
    guard case .octets(let bytes)? = self[10] else { return nil }
    return bytes.reduce(0) { $0 << 8 | UInt32($1) }
  }
}

/// Checks that sequence numbers count the records from `start`.
func sequenceIsRight(_ messages: [DecodedMessage], from start: UInt32 = 0) -> Bool {
  var next = start
  for message in messages {
    if message.sequence != next { return false }
    next &+= UInt32(message.records.count + message.options.count)
  }
  return true
}

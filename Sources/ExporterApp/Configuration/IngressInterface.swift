// `--ingress-interface`: the numbers under which collectors know the ports.
import FlowCore

/// One value of the option.
struct IngressInterface {
  /// The port that the number is for; nil for all of them.
  let port: UInt16?
  /// The number, as SNMP's ifIndex; never 0, which is no interface (RFC 2863).
  let number: UInt32

  /// The value of `N` or `PORT=N`.
  init(_ argument: String) throws {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard let last = parts.last, let number = UInt32(last), number > 0 else {
      throw InvalidValue("give an interface a number from 1 to \(UInt32.max), or PORT=N")
    }
    self.number = number
    guard parts.count == 2 else {
      port = nil
      return
    }
    guard let port = UInt16(parts[0]) else {
      throw InvalidValue("\(parts[0]) is not the number of a port, as they are printed at start")
    }
    self.port = port
  }
}

/// A port and the number that its device has in the kernel, 0 where it has none, with what collectors are told of it.
struct PortInterface {
  var port: UInt16
  var index: UInt32
  /// interfaceName: the device's.
  var name = ""
  /// interfaceDescription: what is behind it.
  var description = ""
}

extension BuiltInSchema {
  /// Names the ports, and numbers them: as the kernel does, unless the options, of which the last one counts, say otherwise.
  ///
  /// - Returns: what is to be said of ports that collectors could not tell apart, though no option asks for that: the kernel's
  ///   number of one may be the number that another one has because it has none in the kernel.
  /// - Throws: an option names a port that is not there (usage).
  func numberInterfaces(_ ports: [PortInterface], _ options: [IngressInterface]) throws(Failure) -> [String] {
    for port in ports { setInterfaceName(port.name, ofPort: port.port) }
    for port in ports where port.index != 0 { setInterface(port.index, ofPort: port.port) }
    for option in options {
      if let port = option.port, !ports.contains(where: { $0.port == port }) {
        throw .usage(
          "--ingress-interface \(port)=\(option.number): there is no port \(port); there is \(ports.map { "\($0.port)" }.joined(separator: ", "))"
        )
      }
      for port in ports where option.port ?? port.port == port.port {
        setInterface(option.number, ofPort: port.port)
      }
    }
    let isChosen = { (port: UInt16) in options.contains { $0.port ?? port == port } }
    let groups = Dictionary(grouping: ports.map(\.port)) { interface(ofPort: $0) }
    return groups.sorted { $0.key < $1.key }.compactMap { number, ports in
      guard ports.count > 1, let free = ports.last(where: { !isChosen($0) }) else { return nil }
      let names = ports.map(String.init).joined(separator: ", ")
      return "ports \(names) are all interface \(number) to collectors: "
        + "give one another number, as --ingress-interface \(free)=N"
    }
  }
}

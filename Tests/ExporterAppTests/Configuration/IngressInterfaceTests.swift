// The numbers of ports: the kernel's, a port's own plus 1, or what the options say, and what is said where two are alike.
import FlowCore
import Testing

@testable import ExporterApp

@Suite struct IngressInterfaceTests {
  /// What ports came to.
  private struct Outcome: Equatable {
    var numbers: [UInt32]
    var warnings: [String]

    init(_ numbers: [UInt32], _ warnings: [String]) {
      self.numbers = numbers
      self.warnings = warnings
    }
  }

  /// Numbers ports, of which the second has the number `index` in the kernel, and the others have none.
  private func number(_ index: UInt32, _ options: String...) throws -> Outcome {
    let schema = try BuiltInSchema(plugins: [])
    let ports = [
      PortInterface(port: 0, index: 0), PortInterface(port: 1, index: index),
      PortInterface(port: 2, index: 0),
    ]
    let warnings = try schema.numberInterfaces(ports, options.map { try IngressInterface($0) })
    return Outcome(ports.map { schema.interface(ofPort: $0.port) }, warnings)
  }

  @Test func portsHaveTheKernelsNumberOrTheirOwn() throws {
    #expect(try number(7) == Outcome([1, 7, 3], []))
    #expect(try number(0) == Outcome([1, 2, 3], []))
    #expect(try number(7, "9", "2=4") == Outcome([9, 9, 4], []))
  }

  /// The kernel's number of port 1 is what port 2, or 0, has for want of one.
  @Test func portsThatCollectorsCannotTellApartAreSaid() throws {
    let third = try number(3)
    #expect(third.numbers == [1, 3, 3] && third.warnings.count == 1)
    #expect(
      third.warnings.first
        == "ports 1, 2 are all interface 3 to collectors: give one another number, as --ingress-interface 2=N"
    )
    #expect(try number(1).warnings.count == 1)
    #expect(try number(7, "2=7").warnings.first?.hasSuffix("--ingress-interface 1=N") == true)
    #expect(try number(3, "2=5") == Outcome([1, 3, 5], []))
    // Who asks for one number gets it.
    #expect(try number(3, "5") == Outcome([5, 5, 5], []))
    #expect(try number(3, "1=5", "2=5") == Outcome([1, 5, 5], []))
  }

  @Test(arguments: [
    "", "0", "-1", "=", "0=", "=1", "0=0", "1=2=3", "65536=1", "4294967296", " 1", "1 ", "+", "0x1", "١",
  ])
  func whatIsNoNumberIsRefused(text: String) {
    #expect(throws: (any Error).self) { try IngressInterface(text) }
  }
}

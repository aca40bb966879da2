// Names of interfaces in the arguments of EAL's devices, as rte_kvargs takes these apart.
import Testing

@testable import ExporterApp

@Suite struct KernelInterfaceTests {
  @Test(arguments: [
    ("eth0", false), ("enp3s0f1.100", false), ("a=b", false), ("x,qpairs=2", true), ("a[0", true),
    ("a]", true),
  ])
  func whatSeparatesArgumentsIsFound(name: String, isFound: Bool) {
    #expect(KernelInterface.hasSeparators(name) == isFound)
  }
}

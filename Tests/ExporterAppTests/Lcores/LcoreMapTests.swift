// Roles and queues by lcore number, and what the user hears when they do not work out.
import Testing

@testable import ExporterApp

@Suite struct LcoreMapTests {
  let cpus: [UInt32] = [0, 1]
  let one = [PortLimits(port: 0, name: "net_null0", maximumQueues: 16)]
  let two = [
    PortLimits(port: 0, name: "net_null0", maximumQueues: 16),
    PortLimits(port: 1, name: "net_pcap0", maximumQueues: 1),
  ]

  @Test func mainControlsTheNextExportsTheRestReceive() throws {
    let map = try LcoreMap(main: 0, others: [1, 2, 3], ports: one, queues: nil, config: nil, cpus: cpus)
    #expect(map.control == 0)
    #expect(map.exporters == [.init(lcore: 1, workers: [2, 3])])
    #expect(
      map.workers == [
        .init(lcore: 2, queues: [.init(port: 0, queue: 0)]),
        .init(lcore: 3, queues: [.init(port: 0, queue: 1)]),
      ])
    #expect(map.unused.isEmpty)
  }

  @Test func aDeviceWithFewQueuesLeavesItsShareToOthers() throws {
    let map = try LcoreMap(
      main: 0, others: [1, 2, 3, 4, 5], ports: two, queues: nil, config: nil, cpus: cpus)
    #expect(map.queueCount(port: 0) == 3)
    #expect(map.queueCount(port: 1) == 1)
    #expect(map.workers.last?.queues == [.init(port: 1, queue: 0)])
  }

  @Test func lcoresWithoutAQueueStayUnused() throws {
    let map = try LcoreMap(main: 0, others: [1, 2, 3], ports: [two[1]], queues: 2, config: nil, cpus: cpus)
    #expect(map.workers.count == 1)
    #expect(map.unused == [3])
    #expect(map.warnings.count == 1)
  }

  @Test(arguments: [[], [1]] as [[UInt32]])
  func tooFewLcoresIsAUsageFailure(others: [UInt32]) {
    let failure = #expect(throws: Failure.self) {
      try LcoreMap(main: 0, others: others, ports: one, queues: nil, config: nil, cpus: cpus)
    }
    #expect(failure?.status == 64)
    #expect(failure?.description.contains("--lcores '0@0,1@0,2@1'") == true)
  }

  @Test func tooManyQueuesNameTheLcoresNeeded() {
    let failure = #expect(throws: Failure.self) {
      try LcoreMap(main: 0, others: [1, 2], ports: one, queues: 2, config: nil, cpus: [0, 1, 2, 3])
    }
    #expect(failure?.status == 64)
    #expect(failure?.description.contains("-l 0-3") == true)
    // On two CPUs one worker that polls both queues is better than two that share CPUs.
    let small = #expect(throws: Failure.self) {
      try LcoreMap(main: 0, others: [1, 2], ports: one, queues: 2, config: nil, cpus: cpus)
    }
    #expect(small?.description.contains("--config '(0,0,2),(0,1,2)'") == true)
    #expect(small?.description.contains("0@") == false)
    #expect(throws: Failure.self) {
      try LcoreMap(main: 0, others: [1, 2], ports: two, queues: nil, config: nil, cpus: cpus)
    }
  }

  /// Control and export share a CPU before a worker shares its own.
  @Test(
    arguments: [
      (1, [0], "--lcores '0@0,1@0,2@0'"), (1, [0, 1], "--lcores '0@0,1@0,2@1'"), (1, [0, 1, 2, 3], "-l 0-2"),
      (2, [0, 1], "--lcores '0@0,1@0,2@1,3@0'"), (2, [0, 1, 2], "--lcores '0@0,1@0,2@1,3@2'"),
      (2, [4, 6, 8, 10], "-l 4,6,8,10"), (1, [], "--lcores '0@0,1@0,2@0'"),
    ] as [(Int, [UInt32], String)])
  func workersGetCPUsOfTheirOwn(workers: Int, cpus: [UInt32], option: String) {
    #expect(EALArguments.lcores(workers: workers, cpus: cpus) == option)
  }

  /// Workers are dealt out one by one; lcores without a queue are nobody's.
  @Test func severalExportLcoresShareTheWorkers() throws {
    let map = try LcoreMap(
      main: 0, others: [1, 2, 3, 4, 5, 6], ports: one, queues: 3, config: nil, exporters: 2, cpus: cpus)
    #expect(map.workers.map(\.lcore) == [3, 4, 5] && map.unused == [6])
    #expect(map.exporters == [.init(lcore: 1, workers: [3, 5]), .init(lcore: 2, workers: [4])])
    let failure = #expect(throws: Failure.self) {
      try LcoreMap(
        main: 0, others: [1, 2], ports: one, queues: nil, config: nil, exporters: 2, cpus: [0, 1, 2, 3, 4])
    }
    #expect(failure?.status == 64)
    // One that controls, two that export, two that receive.
    #expect(failure?.description.contains("-l 0-4") == true)
    let idle = #expect(throws: Failure.self) {
      try LcoreMap(
        main: 0, others: [1, 2, 3, 4], ports: one, queues: 1, config: nil, exporters: 2, cpus: cpus)
    }
    #expect(idle?.description.contains("--export-lcores 2, but only 1 worker lcore has a queue") == true)
    let taken = #expect(throws: Failure.self) {
      try LcoreMap(
        main: 0, others: [1, 2, 3], ports: one, queues: nil, config: QueueMap("(0,0,2)"), exporters: 2,
        cpus: cpus)
    }
    #expect(taken?.description.contains("which exports") == true)
  }

  @Test func theKernelsListsOfCPUsAreRead() {
    #expect(Machine.numbers("0-3,8\n") == [0, 1, 2, 3, 8])
    #expect(Machine.numbers("0\n") == [0])
    #expect(Machine.numbers("") == [] && Machine.numbers("3-1") == [])
  }

  @Test func anExplicitMapGivesOneLcoreSeveralQueues() throws {
    let map = try LcoreMap(
      main: 0, others: [1, 2, 3], ports: two, queues: nil, config: QueueMap("(0,1,2), (1,0,2),(0,0,2)"),
      cpus: cpus)
    #expect(
      map.workers == [
        .init(
          lcore: 2, queues: [.init(port: 0, queue: 0), .init(port: 0, queue: 1), .init(port: 1, queue: 0)])
      ])
    #expect(map.unused == [3])
  }

  @Test(arguments: [
    "(0,0,1),(1,0,2)", "(0,1,2),(1,0,2)", "(0,0,2)", "(2,0,2)", "(0,0,2),(1,1,2)", "(0,0,9),(1,0,2)",
  ])
  func anExplicitMapThatCannotBeIsRefused(text: String) throws {
    let config = try QueueMap(text)
    let failure = #expect(throws: Failure.self) {
      try LcoreMap(main: 0, others: [1, 2, 3], ports: two, queues: nil, config: config, cpus: cpus)
    }
    #expect(failure?.status == 64)
  }

  @Test(arguments: [
    "", "0,0,2", "(0,0)", "(0,0,2)(0,1,2)", "(0,0,2),", "(0,0,x)", "(0,0,2),(0,0,3)", "(0,0,2",
  ])
  func aMapThatIsNoneIsRefused(text: String) {
    #expect(throws: (any Error).self) { try QueueMap(text) }
  }
}

@Suite struct RSSKeyTests {
  /// The Toeplitz hash of `input` under `key` (which must be four bytes longer), as NICs compute it.
  private static func toeplitz(_ input: [UInt8], key: [UInt8]) -> UInt32 {
    var hash: UInt32 = 0
    for (index, byte) in input.enumerated() {
      for bit in 0..<8 where byte & (0x80 >> UInt8(bit)) != 0 {
        var window: UInt64 = 0
        for offset in 0..<5 { window = window << 8 | UInt64(key[(index + offset) % key.count]) }
        hash ^= UInt32(truncatingIfNeeded: window >> UInt64(8 - bit))
      }
    }
    return hash
  }

  /// Both directions of a flow have one hash, and the function is the published one.
  @Test func theKeyIsSymmetric() {
    let key = RSSKey.symmetric(length: 40)
    #expect(key.count == 40)
    let forward: [UInt8] = [10, 1, 2, 3, 192, 0, 2, 77, 0x30, 0x39, 0x01, 0xbb]
    let back: [UInt8] = [192, 0, 2, 77, 10, 1, 2, 3, 0x01, 0xbb, 0x30, 0x39]
    #expect(Self.toeplitz(forward, key: key) == Self.toeplitz(back, key: key))
    #expect(Self.toeplitz(forward, key: key) != 0)
  }

  /// Microsoft's verification suite: 66.9.149.187:2794 to 161.142.100.80:1766.
  @Test func theHashIsToeplitz() {
    let key: [UInt8] = [
      0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
      0xca,
      0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7,
      0x3b,
      0xbe, 0xac, 0x01, 0xfa,
    ]
    let input: [UInt8] = [66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6]
    #expect(Self.toeplitz(input, key: key) == 0x51cc_c178)
  }
}

import FlowCore
import Synchronization
import Testing

// How much memory plugins get for what they keep of variable length, and what happens where it cannot be had.
import enum Captures.SlabSize

@testable import ExporterApp

@Suite struct SlabSizeTests {
  /// 2^20 flows of 512 bytes are 2^29; the least is 2^26; offline 2^17 flows of 1024 bytes are 2^27.
  @Test(arguments: [
    (1_048_576, true, true, 536_870_912), (131_072, true, true, 67_108_864),
    (64, true, true, 67_108_864), (4_194_304, true, true, 2_147_483_648),
    (1_048_576, true, false, 67_108_864), (131_072, false, true, 134_217_728),
    (64, false, false, 67_108_864),
  ])
  func sizeFollowsTheFlows(flows: Int, live: Bool, exportsBlocks: Bool, bytes: Int) {
    #expect(SlabSize.bytes(flows: flows, live: live, exportsBlocks: exportsBlocks) == bytes)
  }

  /// Gives at most `limit` bytes at once, and remembers what it was asked for.
  private final class ScarceMemory: FlowMemory {
    let limit: Int
    let requests = Mutex<[Int]>([])

    init(limit: Int) { self.limit = limit }

    func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? {
      requests.withLock { $0.append(bytes) }
      return bytes <= limit ? PlainMemory().allocate(bytes) : nil
    }
    func free(_ memory: UnsafeMutableRawPointer, _ bytes: Int) { PlainMemory().free(memory, bytes) }
  }

  private func requests(limit: Int, plugins: String) throws -> [Int] {
    let options = try Options.parse(["--plugins", plugins, "--flows", "1048576", "--pcap", "x"]).values
    let schema = try BuiltInSchema(options)
    var configuration = FlowConfiguration()
    configuration.flows = 64
    configuration.slabBytes = 0
    let worker = try FlowWorker(configuration: configuration, schema: schema, number: 0)
    let memory = ScarceMemory(limit: limit)
    try worker.makeSlab(options.metering, schema: schema, live: true, memory: memory)
    // Arenas only: the list of their pages is far smaller.
    return memory.requests.withLock { $0.filter { $0 >= 1 << 25 } }
  }

  @Test func lessIsTakenWhereThereIsLess() throws {
    let mebibyte = 1 << 20
    #expect(try requests(limit: .max, plugins: "tls") == [512 * mebibyte])
    #expect(
      try requests(limit: 200 * mebibyte, plugins: "vlan,idpcontent")
        == [512 * mebibyte, 256 * mebibyte, 128 * mebibyte])
    #expect(try requests(limit: .max, plugins: "vlan") == [64 * mebibyte])
  }

  @Test func lessThanTheLeastIsAFailure() {
    let failure = #expect(throws: Failure.self) { try requests(limit: 32 << 20, plugins: "tls") }
    #expect(failure?.status == 1)
    #expect(failure?.description.contains("64 MiB") == true)
  }
}

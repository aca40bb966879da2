// Outputs that come and go: what they counted stays, and they do not. Sums are worked out by hand.
import Testing

@testable import ExporterApp

@Suite struct OutputRosterTests {
  /// An output that has lost as many records as it was told to.
  private final class Counted: Output {
    var counters = OutputCounters()
    var failure: ExportError?
    var status: String { "" }

    init(lost: UInt64, failure: ExportError? = nil) {
      counters.records = lost
      counters.lostRecords = lost
      self.failure = failure
    }

    func append(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) {}
    func tick(now: Moment) {}
    func reopen() {}
    func close() {}
  }

  private func entry(_ number: Int, _ output: Counted) throws -> Outputs.Entry {
    let plan = try OutputPlan(["udp://127.0.0.1:\(1000 + number)"], fallback: nil, inputs: [])
    let entry = Outputs.Entry(try #require(plan.entries.first), output)
    entry.published.pointee = output.counters
    return entry
  }

  private func lost(_ accounts: [OutputAccount]) -> UInt64 {
    accounts.reduce(0) { $0 + $1.counters.lostRecords }
  }

  @Test func whatWasCountedStaysAndOutputsDoNot() throws {
    weak var first: Outputs.Entry?
    var roster = OutputRoster([], .mirror)
    let failure = ExportError.readerGone(path: "a")
    let worse = ExportError.spoolInUse(path: "b")
    for number in 1...100 {
      let next = try entry(
        number, Counted(lost: UInt64(number), failure: number == 2 ? failure : number == 3 ? worse : nil))
      if number == 1 { first = next }
      roster.replace(by: [next], .mirror, replacement: UInt64(number))
      // The lcore has taken all but the last; nothing is closed before it is retired, nor forgotten before it is closed.
      let retired = roster.takeRetired(UInt64(number) - 1)
      #expect(retired.count == (number > 2 ? 1 : 0))
      let isWaiting = roster.settle()
      #expect(isWaiting == !retired.isEmpty)
      for entry in retired { entry.noteClosed() }
      let isStillWaiting = roster.settle()
      #expect(!isStillWaiting && lost(roster.published) == UInt64(number * (number + 1) / 2))
    }
    // One there is, one that the lcore still has, the last eight that went, and all others together.
    let accounts = roster.final
    #expect(accounts.count == 1 + 1 + 8 + 1 && first == nil)
    #expect(accounts.last?.name == "former outputs" && accounts.last?.failure == worse)
    // 1 + … + 90.
    #expect(accounts.last?.counters.lostRecords == 4095 && lost(accounts) == 5050)
  }

  /// Each counter is in the sum: Mirror knows them all.
  @Test func allCountersAreAdded() {
    var one = OutputCounters()
    withUnsafeMutableBytes(of: &one) { bytes in
      for offset in bytes.indices where offset % 8 == 0 {
        bytes.storeBytes(of: UInt64(offset + 1), toByteOffset: offset, as: UInt64.self)
      }
    }
    var two = one
    two.add(one)
    func numbers(_ value: Any) -> [UInt64] {
      if let number = value as? UInt64 { return [number] }
      return Mirror(reflecting: value).children.flatMap { numbers($0.value) }
    }
    #expect(numbers(one).count * 8 == MemoryLayout<OutputCounters>.size)
    #expect(numbers(two) == numbers(one).map { 2 * $0 })
  }
}

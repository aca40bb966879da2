// Which collector gets a flow: even shares, the same in every run, and a collector that leaves moves only its own.
import Testing

@testable import ExporterApp

@Suite struct CollectorChoiceTests {
  private let names = ["tcp://a.example:4739", "tcp://b.example:4739", "udp://192.0.2.9:4739"]
  /// Numbers of flows: consecutive ones, which a weak mix would not spread.
  private let flows = (0..<9000).map { UInt64($0) }

  @Test func sharesAreEven() {
    let choice = CollectorChoice(names: names)
    var shares = [0, 0, 0]
    for flow in flows { shares[choice.collector(of: flow)] += 1 }
    // A third of 9000, give or take five standard deviations: sqrt(9000 / 3 * 2 / 3) = 45.
    for share in shares { #expect((2775...3225).contains(share)) }
  }

  @Test func aCollectorThatLeavesMovesOnlyItsOwnFlows() {
    var choice = CollectorChoice(names: names)
    let before = flows.map(choice.collector(of:))
    let isNews = choice.note(1, isReachable: false)
    let isNoNews = choice.note(1, isReachable: false)
    #expect(isNews && !isNoNews)
    var moved = [0, 0, 0]
    for (flow, old) in zip(flows, before) {
      let new = choice.collector(of: flow)
      #expect(old == 1 ? new != 1 : new == old)
      if old == 1 { moved[new] += 1 }
    }
    // Half of its third to each of the others; sqrt(3000 / 4) = 27.
    #expect((1360...1640).contains(moved[0]) && moved[1] == 0 && (1360...1640).contains(moved[2]))
    _ = choice.note(1, isReachable: true)
    #expect(flows.map(choice.collector(of:)) == before)
  }

  @Test func theOrderOfOptionsMakesNoDifference() {
    let choice = CollectorChoice(names: names)
    let reversed = CollectorChoice(names: names.reversed())
    for flow in flows.prefix(500) {
      #expect(names[choice.collector(of: flow)] == names.reversed()[reversed.collector(of: flow)])
    }
  }

  @Test func whereNoneCanBeReachedAllWaitForTheirShare() {
    var choice = CollectorChoice(names: names)
    let before = flows.map(choice.collector(of:))
    for place in names.indices { _ = choice.note(place, isReachable: false) }
    #expect(flows.map(choice.collector(of:)) == before)
    #expect(choice.first == 0)
  }

  @Test func theFirstThatCanBeReachedTakesOver() {
    var choice = CollectorChoice(names: names)
    #expect(choice.first == 0)
    _ = choice.note(0, isReachable: false)
    #expect(choice.first == 1)
    _ = choice.note(1, isReachable: false)
    #expect(choice.first == 2)
    _ = choice.note(0, isReachable: true)
    #expect(choice.first == 0)
  }

  @Test(arguments: [
    ("flows.json", "flows-2.json"), ("out/flows", "out/flows-2"), ("a.b/flows", "a.b/flows-2"),
    ("/x/.hidden", "/x/.hidden-2"), ("x/a.tar.gz", "x/a.tar-2.gz"),
  ])
  func filesOfExportLcoresAreNumbered(path: String, numbered: String) {
    #expect(OutputPlan.numbered(path, 2) == numbered)
  }

  @Test func eachExportLcoreHasFilesOfItsOwn() throws {
    let plan = try OutputPlan(
      ["udp://192.0.2.1", "json:/tmp/no such folder/f.json", "csv:/dev/null"], fallback: nil, inputs: [],
      exporters: 2)
    let arguments = [0, 1].map { number in plan.entries.filter { $0.serves(number) }.map(\.argument) }
    #expect(arguments[0] == ["udp://192.0.2.1", "json:/tmp/no such folder/f-1.json", "csv:/dev/null"])
    #expect(arguments[1] == ["udp://192.0.2.1", "json:/tmp/no such folder/f-2.json", "csv:/dev/null"])
    let failure = #expect(throws: Failure.self) {
      try OutputPlan(["json:-"], fallback: nil, inputs: [], exporters: 2)
    }
    #expect(failure?.status == 64)
  }
}

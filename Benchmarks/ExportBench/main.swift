// What the export lcore does with finished records, alone: encoding into messages, to loopback UDP, as lines of text, and
// to Kafka.
//
//     export-bench [--records N] [--capture MIX.pcap] [--json FILE] [--only OUTPUT]
//
// --only measures the outputs whose name contains the text, as for perf.
// The records are made by the engine from generated packets (and from a capture's, for real payloads), so they are what a
// worker hands over. Times are the thread's CPU time, because neighbours on the machine are not Martlet's cost.
import FlowCore
import Foundation
import IPFIX

/// The thread's CPU time in nanoseconds.
func cpuTime() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Runs `body`, which returns how many records it worked through, for half a second of CPU time, three times; the median
/// of the nanoseconds per record.
func measure(_ body: () -> Int) -> Double {
  _ = body()
  var costs: [Double] = []
  for _ in 0..<3 {
    var records = 0
    let start = cpuTime()
    var elapsed: UInt64 = 0
    repeat {
      records += body()
      elapsed = cpuTime() - start
    } while elapsed < 500_000_000
    costs.append(Double(elapsed) / Double(records))
  }
  return costs.sorted()[1]
}

struct Row: Codable {
  let records: String
  let output: String
  let bytesPerRecord: Double
  let nanoseconds: Double
  let recordsPerSecond: Double
  var target: Double?
}

var recordCount = 100_000
var capture: String?
var json: String?
var only = ""
var arguments = Array(CommandLine.arguments.dropFirst())
while let option = arguments.first {
  let value = arguments.dropFirst().first
  switch (option, value) {
  case ("--records", let value?): recordCount = Int(value) ?? recordCount
  case ("--capture", let value?): capture = value
  case ("--json", let value?): json = value
  case ("--only", let value?): only = value
  default:
    print("export-bench [--records N] [--capture MIX.pcap] [--json FILE] [--only OUTPUT]")
    exit(option == "--help" ? 0 : 64)
  }
  arguments.removeFirst(2)
}

var rows: [Row] = []
let sink = UDPSink()

/// Measures every output for one set of records.
@MainActor
func run(_ name: String, _ set: RecordSet, target: Double? = nil) {
  func report(_ output: String, bytes: Int, target: Double? = nil, _ nanoseconds: @autoclosure () -> Double) {
    guard only.isEmpty || "\(name), \(output)".contains(only) else { return }
    let nanoseconds = nanoseconds()
    rows.append(
      Row(
        records: name, output: output, bytesPerRecord: Double(bytes) / Double(set.records.count),
        nanoseconds: nanoseconds, recordsPerSecond: 1e9 / nanoseconds, target: target))
  }
  let bytes = set.encode { _ in }
  // 64 records as a ring hands them over, again and again: what the instructions alone cost.
  let few = set.prefix(1024)
  report("IPFIX to memory, records cached", bytes: bytes, measure { few.encodeAll() })
  report("IPFIX to memory", bytes: bytes, measure { set.encodeAll() })
  let before = sink.counts
  /// Sends all records until the cost is known; prints how many datagrams the kernel got at once.
  func toLoopback(_ output: String, segmented: Bool, padded: Bool, target: Double? = nil) {
    guard only.isEmpty || "\(name), \(output)".contains(only) else { return }
    let (datagrams, runs) = (sink.counts.sent, sink.runsSent)
    let cost = measure { set.encodeAll(padded: padded) { sink.send($0, segmented: segmented) } }
    report(output, bytes: set.encode(padded: padded) { _ in }, target: target, cost)
    let together = Double(sink.counts.sent - datagrams) / Double(sink.runsSent - runs)
    print("\(name), \(output): \(String(format: "%.1f", together)) datagrams in a run")
  }
  toLoopback("loopback UDP, one by one", segmented: false, padded: false)
  toLoopback("loopback UDP, runs, no padding", segmented: true, padded: false)
  toLoopback("loopback UDP, as Martlet does", segmented: true, padded: true, target: target)
  usleep(100_000)
  let after = sink.counts
  let received = Double(after.received - before.received) / Double(max(1, after.sent - before.sent))
  print(
    "\(name): the collector's socket took \(Int(received * 100)) % of \(after.sent - before.sent) datagrams")
  report(
    "JSON", bytes: set.json(),
    measure {
      _ = set.json()
      return set.records.count
    })
  if only.isEmpty || "\(name), JSON to Kafka's mock".contains(only), let kafka = try? KafkaSink() {
    report("JSON to Kafka's mock", bytes: set.json(), target: 2000, measure { kafka.send(set) })
    kafka.close()
  }
  report(
    "CSV", bytes: set.csv(),
    measure {
      _ = set.csv()
      return set.records.count
    })
}

let four = ["pstats", "tls", "ovpn", "idpcontent"].filter { name in
  PluginCatalogue.all.contains { $0.name == name }
}.map { PluginSelection($0) }
let sequence = [PluginSelection("pstats")]
run("basic, IPv4", try RecordSet(plugins: [], generated: recordCount, isVersion6: false), target: 100)
run("basic, IPv6", try RecordSet(plugins: [], generated: recordCount, isVersion6: true), target: 100)
run(
  "pstats, 10 packets", try RecordSet(plugins: sequence, generated: recordCount / 4, packets: 10)
)
let all = four.map(\.name).joined(separator: "+")
run("\(all), 10 packets", try RecordSet(plugins: four, generated: recordCount / 4, packets: 10), target: 300)
if let capture {
  run("\(all), mix", try RecordSet(plugins: four, capture: capture), target: 300)
  // The widest templates there are.
  let every = PluginPreset.all.selections
  run("all plugins, mix", try RecordSet(plugins: every, capture: capture))
}

print(
  "records".padding(toLength: 44, withPad: " ", startingAt: 0)
    + "output".padding(toLength: 34, withPad: " ", startingAt: 0) + "octets   ns/record  records/s   target")
for row in rows {
  let name = row.records.padding(toLength: 44, withPad: " ", startingAt: 0)
  let output = row.output.padding(toLength: 34, withPad: " ", startingAt: 0)
  let target = row.target.map { "\(row.nanoseconds <= $0 ? "met" : "missed") (\(Int($0)))" } ?? ""
  print(
    name + output
      + String(
        format: "%6.1f %11.1f %9.2f M   ", row.bytesPerRecord, row.nanoseconds, row.recordsPerSecond / 1e6)
      + target)
}
if let json { try JSONEncoder().encode(rows).write(to: URL(fileURLWithPath: json)) }

// Metrics: names that follow from the counters' declarations, and the two text formats, whose lines are those of their
// specifications.
import Testing

@testable import ExporterApp

@Suite struct MetricTests {
  /// A run with a worker, an export lcore with two outputs, and a port.
  private var snapshot: RunSnapshot {
    var snapshot = RunSnapshot()
    var worker = CounterSnapshot.WorkerEntry(lcore: 2)
    worker.loop.received = 70
    for count in [1, 2, 3, 32, 32] { worker.loop.batches.count(count) }
    snapshot.counters.workers = [worker]
    snapshot.counters.ports = [.init(port: 0)]
    snapshot.counters.exporters = [
      .init(lcore: 1, outputs: [.init(name: "json:a\"b\\c\nd"), .init(name: "udp://[::1]:4739")])
    ]
    snapshot.devices = [
      .init(port: 0, state: PortState(isUp: true, megabits: 10_000), statistics: [("rx_x", 5)])
    ]
    snapshot.deviceNames = [0: "net_pcap0"]
    var activity = LoopActivity()
    activity.begin(at: 1000)
    activity.poll(at: 1500, wasBusy: false)
    activity.poll(at: 1750, wasBusy: true)
    snapshot.lcores = [.init(lcore: 2, role: "worker", activity: activity)]
    snapshot.hertz = 1000
    return snapshot
  }

  @Test func everyCounterHasAMetricOfItsOwn() {
    let names = MetricTable.all.map(\.sampleName)
    #expect(Set(names).count == names.count)
    for name in names {
      #expect(
        name.hasPrefix("martlet_")
          && name.allSatisfy { $0.isASCII && ($0 == "_" || $0.isLowercase || $0.isNumber) })
    }
    let counted = CounterTable.all.map(\.metric.sampleName)
    for name in [
      "martlet_worker_received_packets_total", "martlet_worker_bytes_total",
      "martlet_worker_not_ip_packets_total",
      "martlet_worker_in_table_flows", "martlet_port_missed_packets_total",
      "martlet_export_exported_records_total",
      "martlet_output_messages_total", "martlet_output_message_bytes_total",
      "martlet_output_spool_waiting_records",
    ] { #expect(counted.contains(name)) }
  }

  @Test func prometheusTextIsAsItsFormatSays() {
    let text = MetricFormat.prometheus.text(snapshot)
    #expect(text.contains("# TYPE martlet_worker_received_packets_total counter\n"))
    #expect(text.contains("\nmartlet_worker_received_packets_total{lcore=\"2\"} 70\n"))
    #expect(
      text.contains(#"martlet_output_messages_total{lcore="1",number="1",output="json:a\"b\\c\nd"} 0"# + "\n")
    )
    #expect(text.contains("# TYPE martlet_port_statistic untyped\n"))
    #expect(text.contains("martlet_port_statistic{port=\"0\",device=\"net_pcap0\",name=\"rx_x\"} 5\n"))
    #expect(
      text.contains("martlet_port_speed_bytes{port=\"0\",device=\"net_pcap0\"} 1250000000\n"))
    #expect(text.contains("martlet_lcore_busy_seconds_total{lcore=\"2\",role=\"worker\"} 0.25\n"))
    #expect(text.contains("martlet_lcore_polling_seconds_total{lcore=\"2\",role=\"worker\"} 0.75\n"))
    #expect(!text.contains("# EOF") && !text.contains("# UNIT"))
  }

  @Test func openMetricsNamesFamiliesWithoutTheirEnding() {
    let text = MetricFormat.openMetrics.text(snapshot)
    #expect(text.hasSuffix("\n# EOF\n"))
    #expect(
      text.contains(
        "# TYPE martlet_worker_received_packets counter\n# UNIT martlet_worker_received_packets packets\n"))
    #expect(text.contains("\nmartlet_worker_received_packets_total{lcore=\"2\"} 70\n"))
    #expect(text.contains("# TYPE martlet_port_statistic unknown\n"))
  }

  /// Polls with 1, 2, 3, 32 and 32 packets.
  @Test func batchesAreACumulativeHistogram() {
    let text = MetricFormat.prometheus.text(snapshot)
    let name = "martlet_worker_batch_packets"
    let lines = text.split(separator: "\n").filter { $0.hasPrefix(name) }.map { $0.dropFirst(name.count) }
    #expect(
      lines == [
        "_bucket{lcore=\"2\",le=\"1.0\"} 1", "_bucket{lcore=\"2\",le=\"3.0\"} 3",
        "_bucket{lcore=\"2\",le=\"7.0\"} 3",
        "_bucket{lcore=\"2\",le=\"15.0\"} 3", "_bucket{lcore=\"2\",le=\"31.0\"} 3",
        "_bucket{lcore=\"2\",le=\"32.0\"} 5",
        "_bucket{lcore=\"2\",le=\"+Inf\"} 5", "_sum{lcore=\"2\"} 70", "_count{lcore=\"2\"} 5",
      ])
  }

  /// Prometheus 2.42's and 3's headers, and those of people.
  @Test(arguments: [
    (
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
      true
    ),
    ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", false), ("", false), ("*/*", false), ("text/html", false),
    ("Application/OpenMetrics-Text ; q=1", true), ("application/openmetrics-text;q=0", false),
    ("text/plain, application/openmetrics-text;q=0.9", false), (",;,;q=,q=x", false),
  ])
  func theFormatIsNegotiated(accept: String, isOpen: Bool) {
    #expect(MetricFormat(accept: accept) == (isOpen ? .openMetrics : .prometheus))
  }

  @Test func addressesAreRead() throws {
    #expect(try ListenAddress("9477").description == "127.0.0.1:9477")
    #expect(try ListenAddress("0.0.0.0:1").host == "0.0.0.0")
    let version6 = try ListenAddress("[fe80::1%eth0]:65535")
    #expect(version6.host == "fe80::1%eth0" && version6.port == 65535)
    #expect(version6.description == "[fe80::1%eth0]:65535")
    for text in [
      "", "0", "65536", "-1", "x", ":1", "1:", "::1", "::1:9", "[::1]", "[]:1", "[1.2.3.4]:1", "[[::1]]:1",
    ] {
      #expect(throws: InvalidValue.self) { try ListenAddress(text) }
    }
  }
}

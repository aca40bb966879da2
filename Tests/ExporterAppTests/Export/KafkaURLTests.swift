// `kafka://…`: brokers, topic and properties.
import Foundation
import Kafka
import Testing

@testable import ExporterApp

@Suite struct KafkaURLTests {
  private func target(_ argument: String) throws -> KafkaTarget? {
    if case .kafka(let target) = try ExportURL(parsing: argument).destination { target } else { nil }
  }

  @Test(
    "brokers with and without ports, names and addresses of both versions",
    arguments: [
      ("kafka://broker/flows", "broker:9092", "flows"),
      ("KAFKA://192.0.2.1:19092/a.b_c-D9", "192.0.2.1:19092", "a.b_c-D9"),
      (
        "kafka://one,two:9093,[2001:db8::1],[::1]:1/flows", "one:9092,two:9093,[2001:db8::1]:9092,[::1]:1",
        "flows"
      ),
    ])
  func brokers(_ argument: String, _ brokers: String, _ topic: String) throws {
    let target = try #require(try target(argument))
    #expect(target.brokers == brokers && target.topic == topic && target.properties.list.isEmpty)
  }

  @Test("properties go to librdkafka in their order, with octets by their digits")
  func properties() throws {
    let target = try #require(try target("kafka://b/t?acks=1&sasl.password=a%26b%3D%25&linger.ms=5"))
    #expect(target.properties.list.map(\.name) == ["acks", "sasl.password", "linger.ms"])
    #expect(target.properties.value("sasl.password") == "a&b=%")
    #expect(target.properties.value("linger.ms", "queue.buffering.max.ms") == "5")
  }

  @Test("what is shown has no properties, which may be secret")
  func title() throws {
    let plan = try OutputPlan(
      ["kafka://b/t?sasl.password=secret", "udp://host?dscp=8"], fallback: nil, inputs: [])
    #expect(plan.entries.map(\.argument) == ["kafka://b:9092/t", "udp://host?dscp=8"])
  }

  @Test("the URL counts more than the file that it names")
  func file() throws {
    let path = NSTemporaryDirectory() + "martlet-kafka-\(UUID().uuidString).conf"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try "# comment\n\n  client.id = one \nsasl.password=a=b\n".write(
      toFile: path, atomically: true, encoding: .utf8)
    let target = try #require(try target("kafka://b/t?client.id=two&config=\(path)"))
    #expect(
      target.properties.value("client.id") == "two" && target.properties.value("sasl.password") == "a=b")
    try "client.id=one\nnonsense\n".write(toFile: path, atomically: true, encoding: .utf8)
    let error = #expect(throws: ExportURLError.self) { try self.target("kafka://b/t?config=\(path)") }
    #expect(error?.description.contains("line 2 of \(path) is no NAME=VALUE") == true)
  }

  @Test(
    "what is wrong is said",
    arguments: [
      ("kafka:broker/flows", "name a topic"), ("kafka://broker", "name a topic"),
      ("kafka://", "name a topic"),
      ("kafka://broker/", "'' is no topic"), ("kafka://broker/a/b", "'a/b' is no topic"),
      ("kafka://broker/..", "'..' is no topic"), ("kafka://broker/flöws", "is no topic"),
      ("kafka://broker/" + String(repeating: "x", count: 250), "1 to 249"),
      ("kafka:///flows", "'' is no broker"), ("kafka://a,,b/flows", "'' is no broker"),
      ("kafka://::1/flows", "'::1' is no broker"), ("kafka://[::1/flows", "'[::1' is no broker"),
      ("kafka://a:0/flows", "'0' is no port"), ("kafka://a,b:65536/flows", "'65536' is no port"),
      ("kafka://b/t?nonsense=1", "No such configuration property: \"nonsense\""),
      ("kafka://b/t?acks=9999", "outside allowed range"), ("kafka://b/t?acks=", "acks"),
      ("kafka://b/t?bootstrap.servers=c", "the brokers stand before the topic"),
      ("kafka://b/t?delivery.report.only.error=true", "cannot be set"),
      ("kafka://b/t?transactional.id=x", "without transactions"),
      ("kafka://b/t?dr_cb=x", "dr_cb"), ("kafka://b/t?source=192.0.2.1", "source"),
      ("kafka://b/t?acks=1&acks=1", "twice"), ("kafka://b/t?config=/nowhere/at/all", "No such file"),
    ])
  func wrong(_ argument: String, _ hint: String) {
    let error = #expect(throws: ExportURLError.self) { try ExportURL(parsing: argument) }
    #expect(error?.description.contains(hint) == true, "\(String(describing: error))")
    #expect(error?.description.contains("\n") == false)
  }

  @Test("lost records have one cause each")
  func causes() {
    var counters = DeliveryCounters()
    (counters.acknowledged, counters.timedOut, counters.refused) = (1000, 20, 300)
    (counters.unknown, counters.givenUp) = (4000, 50000)
    #expect(counters.lost == 54320)
  }
}

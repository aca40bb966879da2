// Which plugins a flow meets: those that have to do with its protocol, and no others.
import Testing

@testable import FlowCore

struct FlowProtocolsTests {
  /// What the documents of the protocols say: DNS, SIP and TLS (as DTLS) go over both.
  @Test(arguments: [
    ("icmp", [1, 58]), ("ntp", [17]), ("quic", [17]), ("wg", [17]), ("dnssd", [17]), ("ssdp", [17]),
    ("netbios", [17]),
    ("http", [6]), ("rtsp", [6]), ("smtp", [6]), ("ssh", [6]), ("mqtt", [6]), ("dns", [6, 17]),
    ("passivedns", [6, 17]), ("sip", [6, 17]), ("tls", [6, 17]), ("rtt", [6, 17]),
    ("ovpn", [1, 6, 17, 47, 58, 132]), ("pstats", [1, 6, 17, 47, 58, 132]),
  ])
  func pluginsMeetTheirProtocols(plugin: String, numbers: [UInt8]) throws {
    let layout = try StateLayout<BuiltInPlugins>([PluginSelection("vlan"), PluginSelection(plugin)])
    withExtendedLifetime(layout) {
      for number: UInt8 in [1, 6, 17, 47, 58, 132] {
        #expect(layout.slotsByProtocol[number] == (numbers.contains(number) ? 0b11 : 0b01))
      }
    }
  }

  /// A flow of each protocol that a plugin has nothing to do with gets the fields that it has without the plugin.
  @Test func otherProtocolsHaveNoFields() throws {
    for plugin in PluginCatalogue.all where plugin.name != "model" {
      let layout = try StateLayout<BuiltInPlugins>([PluginSelection(plugin.name)])
      for number: UInt8 in [1, 6, 17, 58, 132] where layout.slotsByProtocol[number] == 0 {
        let packets = [
          TestPacket(payload: [UInt8](repeating: 0x41, count: 40), protocolNumber: number),
          TestPacket(isForward: false, payload: [8, 0, 1, 2], protocolNumber: number),
        ]
        let frames = Capture(frames: packets.map(\.frame))
        #expect(try frames.run(plugins: [plugin.name]).records == frames.run().records)
      }
    }
  }

  /// What is always there needs no packet, and is in the records of every protocol.
  @Test(arguments: ["vlan", "flowhash", "basicplus", "qos", "flowstats", "idpcontent"])
  func someFieldsAreAlwaysThere(plugin: String) throws {
    for number: UInt8 in [1, 6, 17, 132] {
      // As long as the header of SCTP.
      let packet = TestPacket(payload: [UInt8](repeating: 0, count: 12), protocolNumber: number)
      let frames = Capture(frames: [packet.frame])
      let (with, without) = (try frames.run(plugins: [plugin]).records, try frames.run().records)
      #expect(with.count == 1 && with[0].count > without[0].count)
    }
  }
}

// How a port spreads packets over its queues: both directions of a flow to one, as far as the device goes.
import CDPDK
import FlowCore

/// What packets are spread over the queues by.
struct Spreading: Sendable {
  /// The fields of a packet.
  var fields: RSSFields
  /// The packets inside of tunnels make the flows.
  var looksInside: Bool

  /// What the configuration asks for.
  init(_ configuration: RunConfiguration) {
    fields = configuration.rss
    let opensTunnels = configuration.tunnels.map { !$0.isEmpty } ?? false
    looksInside = opensTunnels && configuration.tunnelRecords != .outer
  }
}

extension Port {
  /// RSS with a symmetric key, as far as the device goes; the key must live until the port is configured.
  func chooseHash(_ setup: inout martlet_port_setup, _ spreading: Spreading, warnings: inout [String])
    -> [UInt8]
  {
    let wanted =
      spreading.fields == .addresses ? martlet_address_hash_functions() : martlet_flow_hash_functions()
    setup.rss_functions = wanted & info.rss_functions
    if setup.rss_functions == 0 {
      warnings.append(
        "\(title) has no RSS: its queues hold what the device puts there, and a flow in two of them makes two records"
      )
      return []
    }
    if spreading.looksInside {
      if info.rss_functions & martlet_innermost_hash() != 0 {
        setup.rss_functions |= martlet_innermost_hash()
      } else {
        warnings.append(
          "\(title) spreads tunnels by their outer addresses: a flow inside that changes its tunnel may make a record on each lcore"
        )
      }
    }
    guard info.hash_key_size > 0 else {
      warnings.append(
        "\(title) does not take an RSS key: the directions of a flow may reach different lcores")
      return []
    }
    let key = RSSKey.symmetric(length: Int(info.hash_key_size))
    setup.rss_key_length = info.hash_key_size
    return key
  }
}

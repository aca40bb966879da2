// A port, from what its device says about itself to receiving. What a device cannot do is a warning: a flow
// exporter should start on everything that delivers packets.
import CDPDK
import Glibc

/// A port that EAL found.
struct Port {
  /// DPDK's port number.
  let id: UInt16
  /// What the device says about itself.
  let info: martlet_port_info
  /// The driver's name, as net_pcap.
  let driver: String
  /// The device's name, as net_pcap0 or 0000:03:00.0.
  let name: String
  /// The device's own arguments, as "rx_pcap=a.pcap".
  let arguments: String

  /// RX descriptors per queue before the device's limits are applied.
  static let wantedDescriptors: UInt16 = 1024
  /// Longest frame that ports which can take long ones are set up for, in bytes of MTU.
  static let wantedMTU = 9000

  /// Every port.
  static func all() throws(Failure) -> [Port] {
    var ports: [Port] = []
    var id = martlet_next_port(0)
    while id < martlet_port_limit() {
      var info = martlet_port_info()
      let status = martlet_port_info_get(id, &info)
      guard status == 0 else {
        throw .general(
          "port \(id) does not say what it can do: \(errorText(-status)); leave it out with -b ADDR")
      }
      ports.append(
        Port(
          id: id, info: info, driver: String(cString: info.driver), name: String(cString: info.device),
          arguments: String(cString: info.arguments)))
      id = martlet_next_port(id + 1)
    }
    return ports
  }

  /// What the lcore map must know.
  var limits: PortLimits { PortLimits(port: id, name: name, maximumQueues: Int(info.max_rx_queues)) }

  /// The port's number and its device's in the kernel, with the device's name there, else DPDK's.
  var interface: PortInterface {
    PortInterface(
      port: id, index: info.if_index, name: Self.kernelName(info.if_index) ?? name,
      description: "\(title), \(driver)")
  }

  /// The kernel's name of an interface; nil where there is none of that number.
  private static func kernelName(_ index: UInt32) -> String? {
    var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
    return name.withUnsafeMutableBufferPointer { buffer in
      guard index != 0, let base = buffer.baseAddress, if_indextoname(index, base) != nil else { return nil }
      return String(cString: base)
    }
  }

  /// "port 0 (net_pcap0)", for messages.
  var title: String { "port \(id) (\(name))" }

  /// Configures and starts the port.
  ///
  /// - Parameters:
  ///   - sockets: the NUMA socket of the lcore that polls each RX queue; one per queue.
  ///   - spreading: what packets are spread over the queues by.
  ///   - timestamps: packets shall carry the device's time; false after the call where the device refuses that.
  /// - Returns: warnings.
  /// - Throws: when the device refuses everything it could be asked.
  func start(sockets: [Int32], spreading: Spreading, timestamps: inout Bool) throws(Failure) -> [String] {
    var warnings: [String] = []
    var setup = martlet_port_setup()
    setup.rx_queues = UInt16(sockets.count)
    var key: [UInt8] = []
    if sockets.count > 1 { key = chooseHash(&setup, spreading, warnings: &warnings) }
    chooseMTU(&setup)
    let announcesTimes = timestamps && info.can_timestamp
    setup.timestamp = announcesTimes
    var descriptors = max(Self.wantedDescriptors, info.preferred_rx_descriptors)
    let pools = try PacketPools(port: self, sockets: sockets, descriptors: Int(descriptors))

    var reason = ""
    for transmitQueues in transmitQueueCounts(receiveQueues: sockets.count)
    where transmitQueues <= Int(info.max_tx_queues) {
      setup.tx_queues = UInt16(transmitQueues)
      var status: Int32 = 0
      let log = OutputCapture.during {
        status = key.withUnsafeMutableBufferPointer { buffer in
          setup.rss_key = buffer.isEmpty ? nil : buffer.baseAddress
          return attempt(&setup, sockets: sockets, descriptors: &descriptors, pools: pools)
        }
      }
      if status == 0 {
        if announcesTimes { timestamps = setup.timestamp }
        if rte_eth_promiscuous_enable(id) != 0 {
          warnings.append("\(title) has no promiscuous mode: it delivers what it delivers")
        }
        return warnings
      }
      reason = Self.reason(status: status, log: log)
    }
    throw .general("\(title) did not start: \(reason)")
  }

  /// The numbers of TX queues to try, best first: dpdk-dumpcap wants one; some devices have none, net_tap wants as many as RX
  /// queues.
  ///
  /// net_memif gets them although it starts without: a DPDK peer that receives from a ring which is not there
  /// takes our RX ring for it, moves its tail, and we would read stale buffers as packets.
  private func transmitQueueCounts(receiveQueues: Int) -> [Int] {
    driver == "net_memif" ? [receiveQueues] : [1, 0, receiveQueues]
  }

  /// Stops receiving and gives the device back.
  func close() {
    _ = OutputCapture.during {
      rte_eth_dev_stop(id)
      rte_eth_dev_close(id)
    }
  }

  /// One try at configure, queues and start; 0 or a negative errno. What the device refuses is left out of `wanted`.
  private func attempt(
    _ wanted: inout martlet_port_setup, sockets: [Int32], descriptors: inout UInt16, pools: PacketPools
  ) -> Int32 {
    var setup = wanted
    var status = martlet_port_configure(id, &setup)
    if status != 0, setup.mtu != 0 {
      // A limit that the device did not state: its own default is the next best.
      setup.mtu = 0
      status = martlet_port_configure(id, &setup)
    }
    if status != 0, setup.timestamp {
      setup.timestamp = false
      status = martlet_port_configure(id, &setup)
    }
    guard status == 0 else { return status }
    wanted.timestamp = setup.timestamp
    var transmitDescriptors: UInt16 = 512
    status = rte_eth_dev_adjust_nb_rx_tx_desc(id, &descriptors, &transmitDescriptors)
    guard status == 0 else { return status }
    for (queue, socket) in sockets.enumerated() {
      status = martlet_rx_queue_setup(
        id, UInt16(queue), descriptors, deviceSocket ?? socket, setup.scatter, setup.timestamp,
        pools.pool(socket: socket))
      guard status == 0 else { return status }
    }
    for queue in 0..<setup.tx_queues {
      status = martlet_tx_queue_setup(id, queue, transmitDescriptors, deviceSocket ?? sockets[0])
      guard status == 0 else { return status }
    }
    return rte_eth_dev_start(id)
  }

  /// The device's NUMA socket, nil when it has none.
  var deviceSocket: Int32? { info.socket >= 0 ? info.socket : nil }

  /// The longest frames the device takes: jumbo where a packet may span mbufs, else what one mbuf holds.
  private func chooseMTU(_ setup: inout martlet_port_setup) {
    let saysMTU = info.max_mtu != UInt16.max && info.max_rx_pktlen > UInt32(info.max_mtu)
    // Ethernet header and check sequence, where the device does not tell its own overhead.
    let overhead = saysMTU ? Int(info.max_rx_pktlen) - Int(info.max_mtu) : 18
    var limit = Int(info.max_mtu)
    if info.max_rx_pktlen > UInt32(overhead) { limit = min(limit, Int(info.max_rx_pktlen) - overhead) }
    if !info.can_scatter { limit = min(limit, Int(martlet_mbuf_data_room()) - overhead) }
    setup.scatter = info.can_scatter
    // 0 leaves a limit outside of reason to the device.
    setup.mtu = limit < max(Int(info.min_mtu), 68) ? 0 : UInt16(min(Self.wantedMTU, limit))
  }

  /// Why an attempt failed: the driver's last line says more than the number.
  private static func reason(status: Int32, log: String) -> String {
    let line = log.split(whereSeparator: \.isNewline).last { !$0.hasPrefix("EAL: ") || $0.contains("rror") }
    let text = errorText(-status)
    return line.map { "\($0) (\(text))" } ?? text
  }
}

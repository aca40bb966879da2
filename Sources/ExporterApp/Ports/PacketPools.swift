// The packet buffers of a port, on the NUMA socket of the lcores that read them.
import CDPDK
import CPcap
import FlowCore

/// One mbuf pool per NUMA socket that polls the port. Pools live until EAL ends.
struct PacketPools {
  private var pools: [Int32: OpaquePointer] = [:]

  /// mbufs that each lcore may keep in its own cache of a pool.
  private static let cache = 256

  /// Makes the pools.
  ///
  /// A pool holds what can be in use at once: every descriptor of its queues, the bursts in the workers' hands,
  /// the caches of the workers and of the main lcore, and what the device itself keeps.
  init(port: Port, sockets: [Int32], descriptors: Int) throws(Failure) {
    let kept = KeptCapture(port: port)
    let room = max(Int(martlet_mbuf_data_room()), Int(port.info.min_rx_bufsize), kept.longest)
    let dataRoom = UInt16(min(room + Int(martlet_mbuf_headroom()), Int(UInt16.max)))
    for socket in Set(sockets).sorted() {
      let queues = sockets.count { $0 == socket }
      // A cache takes up to 1.5 times its size before it gives back.
      let cached = (queues + 1) * (Self.cache + Self.cache / 2)
      let needed = queues * (descriptors + 4 * FlowWorker.burstSize) + cached + kept.packets
      var count = 2048
      while count <= needed { count *= 2 }
      // A power of two minus one uses the pool's ring best.
      count -= 1
      guard
        let pool = martlet_mbuf_pool_create(
          "mbufs_port\(port.id)_socket\(socket)", UInt32(count), UInt32(Self.cache), dataRoom, socket)
      else {
        let megabytes = (count * (Int(dataRoom) + 192)) >> 20
        let remedy =
          rte_eal_has_hugepages() != 0
          ? "run 'sudo ./hugepages-setup.sh --pages N' with \(megabytes / 2 + 64) pages of 2 MB more"
          : "raise EAL's -m by \(megabytes + 64)"
        throw .general(
          "no memory for \(count) packet buffers (\(megabytes) MB) of \(port.title) on socket \(socket) "
            + "(\(String(cString: martlet_error_text(martlet_errno())))): \(remedy)")
      }
      pools[socket] = pool
    }
  }

  /// The pool of a socket that `init` was told of.
  func pool(socket: Int32) -> OpaquePointer? { pools[socket] }
}

/// What net_pcap keeps in mbufs with infinite_rx=1: the whole capture, each packet in one mbuf.
private struct KeptCapture {
  /// Packets in all of the port's captures.
  var packets = 0
  /// The longest of them, in bytes.
  var longest = 0

  init(port: Port) {
    let arguments = port.arguments.split(separator: ",")
    guard port.driver == "net_pcap", arguments.contains("infinite_rx=1") else { return }
    for argument in arguments where argument.hasPrefix("rx_pcap=") {
      var error = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
      guard let capture = pcap_open_offline(String(argument.dropFirst("rx_pcap=".count)), &error) else {
        continue
      }
      defer { pcap_close(capture) }
      var header: UnsafeMutablePointer<pcap_pkthdr>?
      var bytes: UnsafePointer<UInt8>?
      while pcap_next_ex(capture, &header, &bytes) == 1, let header {
        packets += 1
        longest = max(longest, Int(header.pointee.caplen))
      }
    }
  }
}

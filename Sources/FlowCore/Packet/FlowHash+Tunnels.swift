// Tunnels in the hash of a flow's key: what both directions of a conversation have in common.

extension FlowHash {
  /// The hash of a flow inside of tunnels, of which `hash` is that of its addresses and ports; the same for both directions.
  @inline(__always)
  func hash(_ hash: UInt64, in path: TunnelPath) -> UInt64 {
    var (index, hash) = (0, hash)
    while index < TunnelPath.most {
      hash = mix(hash, path[index].shared)
      index &+= 1
    }
    return hash
  }
}

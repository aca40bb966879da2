// What people type who come from other exporters: the answer names our option for it.

/// Options of ipfixprobe, nProbe, YAF and tcpdump that Martlet has by another name.
enum ForeignOptions {
  /// What to say of the first word that is one; nil where none is.
  ///
  /// - Parameter words: Martlet's own words. Without `--` some may be EAL's: `-n 4` is, `-n host:2055` is not.
  static func answer(to words: [String]) -> String? {
    for (index, word) in words.enumerated() where word.hasPrefix("-") {
      let value = index + 1 < words.count ? words[index + 1] : ""
      if let answer = answer(word, value) { return answer }
    }
    return nil
  }

  private static func answer(_ word: String, _ value: String) -> String? {
    switch word {
    case "-i" where value.contains(";"):
      "inputs are named as --pcap FILE, -i INTERFACE, or DPDK's ports by EAL's options before '--' (ipfixprobe's -i PLUGIN;…)"
    case "-i" where value.hasSuffix(".pcap") || value.hasSuffix(".pcapng"):
      "captures are read with --pcap FILE, or just by their names; -i is for interfaces"
    case "-p": "plugins are named with --plugins NAME[,NAME…], see --list-plugins (ipfixprobe's -p)"
    case "-o": "records go where --export URL says, as --export udp://127.0.0.1:4739 (ipfixprobe's -o)"
    case "-n" where value.contains(":") || value == "none":
      "collectors are named with --export, as --export udp://\(value == "none" ? "127.0.0.1:4739" : value) (nProbe's -n)"
    case "-s" where !value.hasPrefix("0x"):
      "the flow cache is set with --flows, --active-timeout and --inactive-timeout (ipfixprobe's -s); packets are read whole (nProbe's -s)"
    case "-e":
      "records are sent when they end, without a pause to set (nProbe's -e); --drain-timeout bounds the end"
    case "-t": "a flow that goes on is cut with --active-timeout S (nProbe's -t)"
    case "-d" where Int(value) != nil: "a flow without packets ends with --inactive-timeout S (nProbe's -d)"
    case "-T": "fields are chosen by plugins: --plugins NAME[,NAME…], see --list-plugins (nProbe's -T)"
    case "-V" where Int(value) != nil: "Martlet exports IPFIX, version 10; leave -V out (nProbe's -V)"
    case "-w": "the number of flows is set with --flows N (nProbe's -w)"
    case "-P": "files are written with --export, as --export 'json:flows-%H%M.json?rotate=5min' (nProbe's -P)"
    case "-u", "-Q": "interfaces are numbered with --ingress-interface N (nProbe's \(word))"
    case "-r", "--in", "--read", "--file": "captures are read with --pcap FILE (\(word))"
    case "--live": "interfaces are watched with -i NAME (YAF's --live)"
    case "--out", "--ipfix":
      "records go where --export URL says, as --export tcp://127.0.0.1:4739 (YAF's \(word))"
    case "--collector":
      "collectors are named with --export, as --export udp://\(value.isEmpty ? "HOST:4739" : value)"
    case "--lifetime-timeout": "a flow that goes on is cut with --active-timeout S (nProbe's \(word))"
    case "--idle-timeout":
      "a flow without packets ends with --inactive-timeout S (YAF's and nProbe's \(word))"
    default: nil
    }
  }
}

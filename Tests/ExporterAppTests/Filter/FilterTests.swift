import FlowCore
import Testing

// Filters without EAL: what libpcap makes of an expression, and how one is exchanged for another while a worker has it.
import class Captures.FilterProgram

@testable import ExporterApp

@Suite("Filters") struct FilterTests {
  /// An Ethernet frame of IPv4 with UDP from one port to another.
  private static func datagram(from source: UInt8, to destination: UInt8) -> [UInt8] {
    [UInt8](repeating: 2, count: 12) + [8, 0]
      + [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]
      + [0, source, 0, destination, 0, 8, 0, 0]
  }

  /// Too many ways for DPDK's verifier, so that libpcap's interpreter runs it and no EAL is needed.
  private static func long(_ last: String) -> String {
    (1..<40).map { "ip6 host 2001:db8::\($0)" }.joined(separator: " or ") + " or " + last
  }

  private static func accepts(_ expression: String, _ frame: [UInt8]) throws -> Bool {
    let program = try FilterProgram(expression)
    return frame.withUnsafeBufferPointer {
      program.accepts($0.baseAddress!, captured: frame.count, wire: UInt32(frame.count))
    }
  }

  @Test("an expression means what it means to tcpdump")
  func expressions() throws {
    let frame = Self.datagram(from: 53, to: 99)
    for expression in ["", "udp", "udp port 53", "src host 192.0.2.1", "less 43", "ip[8] = 64"] {
      #expect(try Self.accepts(expression, frame))
    }
    for expression in ["tcp", "dst port 53", "src host 192.0.2.2", "greater 43", "vlan"] {
      #expect(try !Self.accepts(expression, frame))
    }
    #expect(
      try !Self.accepts("udp port 53", Array(frame.prefix(20))), "what was not captured matches nothing")
  }

  @Test("a wrong expression is one line, and the command line's fault")
  func mistakes() {
    for expression in ["tcp prot 443", "host", "port 70000000", "(udp", "ip[100000000000]", "a\nb"] {
      do throws(Failure) {
        _ = try FilterProgram(expression)
        Issue.record("\(expression) was compiled")
      } catch {
        #expect(error.status == Failure.usageStatus)
        #expect(error.description.hasPrefix("--filter '"))
      }
    }
  }

  @Test("ways through a program are counted")
  func paths() throws {
    #expect(try FilterProgram("").paths == 1)
    // Ethernet type, protocol; each comparison either goes on or ends.
    #expect(try (2...10).contains(FilterProgram("udp").paths))
    #expect(try FilterProgram("tcp port 443 or udp port 443").paths < 1000)
    #expect(try FilterProgram(Self.long("udp")).paths > 1_000_000)
  }

  @Test("a worker takes over another filter between bursts, and the old one goes")
  func replacement() throws {
    let owner = FilterOwner()
    var readers = [owner.reader(), owner.reader()]
    let bytes = [53, 80, 99].map { Self.datagram(from: UInt8($0), to: 7) }
    let memory = bytes.map { octets in
      let place = UnsafeMutablePointer<UInt8>.allocate(capacity: octets.count)
      place.initialize(from: octets, count: octets.count)
      return place
    }
    defer { for place in memory { place.deallocate() } }

    /// The times of the frames that pass the filter which the worker has, and behind them the octets of the others.
    func passing(_ index: Int) -> [UInt64] {
      readers[index].refresh()
      var frames = memory.map { Frame(bytes: $0, captured: 42, wire: 60) }
      var times: [UInt64] = [1, 2, 3]
      var mbufs: [OpaquePointer?] = [nil, nil, nil]
      var refused: UInt64 = 0
      let kept = readers[index].select(&mbufs, &frames, &times, count: 3, refused: &refused)
      for (place, time) in times.prefix(kept).enumerated() {
        #expect(frames[place].bytes == UnsafeRawPointer(memory[Int(time) - 1]))
      }
      return times.prefix(kept) + [refused]
    }

    #expect(passing(0) == [1, 2, 3, 0])
    #expect(!readers[0].isOn)
    #expect(owner.replace(with: try FilterProgram(Self.long("udp port 80"))) == .libpcap)
    #expect(passing(0) == [2, 120])
    #expect(readers[0].isOn)
    // The other worker has not looked yet when the next one comes; the first filter has to stay until it has.
    owner.replace(with: try FilterProgram(Self.long("not udp port 80")))
    #expect(passing(0) == [1, 3, 60])
    #expect(passing(1) == [1, 3, 60])
    owner.replace(with: try FilterProgram(Self.long("tcp")))
    #expect(passing(1) == [180])
    #expect(owner.replace(with: nil) == nil)
    #expect(passing(0) == [1, 2, 3, 0])
    #expect(passing(1) == [1, 2, 3, 0])
  }
}

// A capture file through libpcap: pcap and pcapng, both byte orders, micro- and nanoseconds, as libpcap reads them.
import CPcap
import CPipes
import FlowCore
import Glibc

/// An open capture.
public struct Capture: ~Copyable {
  /// libpcap's.
  public let handle: OpaquePointer
  /// The name to show.
  public let name: String
  /// How its frames begin.
  public let linkType: LinkType
  /// The LINKTYPE_ number of such frames in a capture file.
  public let linkTypeNumber: UInt32
  /// The file is pcap, not pcapng.
  private let isClassic: Bool
  /// What the file is read through; nil for what is usual.
  private let buffer: UnsafeMutableRawPointer?

  /// One packet; its bytes are valid until the next call of `next`.
  public struct Packet {
    public var bytes: UnsafePointer<UInt8>
    public var captured: Int
    public var wire: UInt32
    /// Nanoseconds since 1970.
    public var time: UInt64
  }

  /// What `next` found.
  public enum Next {
    case packet(Packet)
    case end
    /// The rest cannot be read, in libpcap's words.
    case damaged(String)
  }

  /// Whether `path` is a pipe: something that one may have to wait for.
  public static func isPipe(_ path: String) -> Bool {
    var status = stat()
    return path == "-" || stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
  }

  /// Opens `path`; "-" is standard input.
  ///
  /// - Parameter stop: a descriptor that becomes readable when pipes are not to be waited for any longer: what is missing is
  ///   damage then. It must outlive the capture.
  public init(_ path: String, stop: CInt? = nil) throws(Failure) {
    let name = path == "-" ? "standard input" : path
    var error = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
    if let stop, Self.isPipe(path) {
      guard let file = path == "-" ? martlet_pipe_open(nil, stop) : martlet_pipe_open(path, stop) else {
        throw .general(Self.explain(errorText(errno), name: name, path: path))
      }
      try self.init(file, name: name, path: path, buffer: nil)
      return
    }
    if path == "-" {
      let handle = pcap_open_offline_with_tstamp_precision(path, UInt32(PCAP_TSTAMP_PRECISION_NANO), &error)
      try self.init(handle, error, name: name, path: path)
      return
    }
    guard let file = fopen(path, "rbe") else {
      throw .general(Self.explain(errorText(errno), name: name, path: path))
    }
    let buffer = malloc(Self.readAhead)
    // Safe: `malloc` gave memory for as many characters, which stays until the file is closed.
    if let buffer { setvbuf(file, buffer.assumingMemoryBound(to: CChar.self), _IOFBF, Self.readAhead) }
    try self.init(file, name: name, path: path, buffer: buffer)
  }

  /// Octets that are read at once: with the 4 KiB that are usual a packet costs a fifth more to read.
  private static let readAhead = 1 << 17

  /// Opens a capture in memory, which must stay as it is while this is read.
  ///
  /// - Parameter name: the name to show.
  public init(octets: UnsafeRawBufferPointer, name: String) throws(Failure) {
    guard octets.count > 0 else { throw .general("\(name) is empty: it is not a capture") }
    // It is only read.
    guard let file = fmemopen(UnsafeMutableRawPointer(mutating: octets.baseAddress), octets.count, "rb")
    else {
      throw .general("\(name) cannot be read: \(errorText(errno))")
    }
    try self.init(file, name: name, path: "-", buffer: nil)
  }

  /// A capture in an opened file, which is closed with it, and whose buffer, from malloc, is freed then.
  private init(
    _ file: UnsafeMutablePointer<FILE>, name: String, path: String, buffer: UnsafeMutableRawPointer?
  ) throws(Failure) {
    var error = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
    let handle = pcap_fopen_offline_with_tstamp_precision(file, UInt32(PCAP_TSTAMP_PRECISION_NANO), &error)
    if handle == nil { fclose(file) }
    try self.init(handle, error, name: name, path: path, buffer: buffer)
  }

  /// A capture that libpcap has opened, or has not for the reason in `error`.
  private init(
    _ handle: OpaquePointer?, _ error: [CChar], name: String, path: String,
    buffer: UnsafeMutableRawPointer? = nil
  ) throws(Failure) {
    guard let handle else {
      free(buffer)
      let reason = error.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
      throw .general(Self.explain(reason, name: name, path: path))
    }
    let number = pcap_datalink(handle)
    guard let linkType = LinkType(pcap: number) else {
      let type = pcap_datalink_val_to_name(number).map { String(cString: $0) } ?? "number \(number)"
      pcap_close(handle)
      free(buffer)
      throw .general(
        "\(name): link type \(type) is not supported: capture as Ethernet, Linux cooked (any), raw IP, loopback or PPP"
      )
    }
    self.handle = handle
    self.buffer = buffer
    self.name = name
    // pcapng's own version is 1.0, that of pcap 2.4; libpcap refuses others but 543.0, an old Alpha's pcap.
    isClassic = pcap_major_version(handle) >= 2
    self.linkType = linkType
    // libpcap has numbers of its own for raw IP, which differ between systems; files have 101.
    linkTypeNumber = linkType == .rawIP && number < 100 ? 101 : UInt32(clamping: number)
  }

  deinit {
    pcap_close(handle)
    free(buffer)
  }

  /// Bytes of the file that were read so far; 0 where that is not to be known.
  public var position: UInt64 {
    guard let file = pcap_file(handle) else { return 0 }
    return UInt64(clamping: ftello(file))
  }

  /// The next packet.
  public func next() -> Next {
    var header: UnsafeMutablePointer<pcap_pkthdr>?
    var bytes: UnsafePointer<UInt8>?
    switch pcap_next_ex(handle, &header, &bytes) {
    case 1:
      guard let header, let bytes else { return .damaged("libpcap gave no packet") }
      let stamp = header.pointee.ts
      guard let time = Self.nanoseconds(stamp, isClassic: isClassic) else {
        return .damaged("a packet's time is not between 1970 and 2540")
      }
      let captured = Int(header.pointee.caplen)
      return .packet(
        Packet(
          bytes: bytes, captured: captured, wire: max(header.pointee.len, header.pointee.caplen), time: time))
    case -2: return .end
    default: return .damaged(String(cString: pcap_geterr(handle)))
    }
  }

  /// What is wrong with it, in words for people: its rest cannot be read.
  public func damage(_ reason: String, after packets: UInt64) -> String {
    "\(name) is damaged or cut after packet \(packets): \(reason)"
  }

  /// A packet's time in nanoseconds since 1970; nil where it is before that or after 2540, in time for every timeout before
  /// the 64 bits end in 2554.
  ///
  /// - Parameter isClassic: the file is pcap, whose seconds are 32 bits without a sign up to 2106: libpcap takes them for
  ///   signed. pcapng has 64 bits.
  private static func nanoseconds(_ stamp: timeval, isClassic: Bool) -> UInt64? {
    var seconds = stamp.tv_sec
    if isClassic, seconds < 0, seconds >= -1 << 31 { seconds &+= 1 << 32 }
    guard seconds >= 0, seconds <= 18_000_000_000 else { return nil }
    // With nanosecond precision tv_usec holds nanoseconds.
    return UInt64(clamping: seconds) &* 1_000_000_000 &+ UInt64(clamping: stamp.tv_usec)
  }

  /// libpcap's reason for not opening, with what to do about it.
  private static func explain(_ reason: String, name: String, path: String) -> String {
    if path != "-" {
      // libpcap says nothing of use about these.
      var status = stat()
      if stat(path, &status) != 0 { return "\(name): \(errorText(errno)): check the name" }
      if status.st_mode & S_IFMT == S_IFDIR { return "\(name) is a directory: name a capture file" }
      if access(path, R_OK) != 0 { return "\(name): \(errorText(errno)): make it readable" }
      if status.st_mode & S_IFMT == S_IFREG, status.st_size == 0 {
        return "\(name) is empty: it is not a capture; record it again"
      }
    }
    if reason.contains("got 0") { return "\(name) is empty: it is not a capture; record it again" }
    if reason.contains("unknown file format") || reason.contains("bad dump file format") {
      if let packing = packing(of: path) {
        return "\(name) is packed by \(packing.name): unpack it first (\(packing.command) \(name))"
      }
      return "\(name) is not a capture: give a pcap or pcapng file"
    }
    return "\(name) cannot be read: \(reason)"
  }

  /// What a file begins with that a common program packed, and how it is unpacked beside itself.
  private static let packings: [(start: [UInt8], name: String, command: String)] = [
    ([0x1F, 0x8B], "gzip", "gunzip -k"), ([0x28, 0xB5, 0x2F, 0xFD], "zstd", "unzstd"),
    ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "xz", "unxz -k"), (Array("BZh".utf8), "bzip2", "bunzip2 -k"),
  ]

  /// How the file was packed; nil where it was not, or cannot be looked at again.
  private static func packing(of path: String) -> (start: [UInt8], name: String, command: String)? {
    // What was read of a pipe is gone.
    guard path != "-", let descriptor = try? OrdinaryFile.open(path) else { return nil }
    defer { close(descriptor) }
    var start = [UInt8](repeating: 0, count: 6)
    let count = start.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    return packings.first { start.prefix(max(count, 0)).starts(with: $0.start) }
  }
}

// How an `--export` becomes an output: its writer or messages, and the transport below. All of it by the control lcore, before
// records come.
import FlowCore
import IPFIX
import Rendering
import Wire

extension Outputs {
  /// The entries of a plan for one export lcore: those of `present` that are as the plan has them, and new ones.
  ///
  /// - Throws: an output that cannot be opened; then none is.
  static func entries(
    _ plan: OutputPlan, number: Int, keeping present: [Entry],
    _ open: (OutputPlan, Int) throws(ExportError) -> any Output
  ) throws(Failure) -> [Entry] {
    var entries: [Entry] = []
    var opened: [Entry] = []
    for index in plan.entries.indices where plan.entries[index].serves(number) {
      let planned = plan.entries[index]
      if let entry = present.first(where: { $0.url == planned.url }),
        !entries.contains(where: { $0 === entry })
      {
        entries.append(entry)
        continue
      }
      do {
        opened.append(Entry(planned, try open(plan, index)))
      } catch {
        for entry in opened { entry.output.close() }
        throw .general(error.description)
      }
      entries.append(opened[opened.count - 1])
    }
    return entries
  }

  /// Says what --spool does not do for these exports.
  static func warn(about spool: SpoolSettings, _ plan: OutputPlan) {
    let names = plan.entries.compactMap { $0.url.spoolName(0) }
    if names.isEmpty {
      logger.warning("--spool is for tcp:// and tls:// exports, of which there is none: it keeps nothing")
    }
    for waiting in SpoolDirectory.waiting(in: spool.directory)
    where !names.contains(where: { waiting == $0 || waiting.hasPrefix($0 + "_") }) {
      logger.warning(
        "\(spool.directory)/\(waiting) has records for a collector that no --export names: they stay there")
    }
  }

  /// Opens one output.
  static func open(
    _ url: ExportURL, others: [FileIdentity], _ settings: RunConfiguration, schema: BuiltInSchema,
    description: ExportDescription, live: Bool, number: Int
  ) throws(ExportError) -> any Output {
    let description = url.describesItself ? description : nil
    var configuration = MessageStream.Configuration()
    configuration.observationDomain = settings.observationDomain
    configuration.maximumLength = settings.largestMessage
    configuration.martletEnterpriseNumber = settings.ownEnterpriseNumber
    configuration.flowKeys = url.describesItself ? BuiltInSchema.flowKeys : []
    let policy: OverloadPolicy = live ? .drop : .wait(seconds: 30)
    // A disk that is full offline is waited for as long as the end may take, too.
    let filePolicy: OverloadPolicy = live ? .drop : .wait(seconds: settings.drainTimeout.seconds)
    func file(
      _ path: String?, heading: SharedBytes = SharedBytes(), hasQuotedCells: Bool = false
    ) throws(ExportError) -> FileWriter {
      try FileWriter(
        path: path, policy: filePolicy, others: others, options: url.file, heading: heading,
        hasQuotedCells: hasQuotedCells)
    }
    func session(_ connection: any ByteConnection, name: String) throws(ExportError) -> any MessageTransport {
      guard let spool = settings.spool, let directory = url.spoolName(number) else {
        return TCPTransport(connection, name: name, policy: policy)
      }
      return SpoolTransport(
        connection, name: name, spool: try Spool(spool, name: directory), policy: policy)
    }
    switch url.destination {
    case .udp(let host, let port):
      configuration.largestLength = 65507
      configuration.padsMessages = url.padsMessages ?? live
      configuration.templateRefresh = UInt32(clamping: settings.templateRefresh.nanoseconds / 1_000_000_000)
      configuration.templateRefreshMessages =
        settings.templateRefreshMessages == 0 ? nil : UInt64(clamping: settings.templateRefreshMessages)
      return IPFIXOutput(
        configuration, schema: schema,
        transport: UDPTransport(host: host, port: port, socketOptions: url.socket, policy: policy),
        description: description)
    case .tcp(let host, let port):
      let tcp = TCPConnection(host: host, port: port, options: url.socket)
      let connection: any ByteConnection = url.compression == .lz4 ? LZ4Connection(tcp) : tcp
      return IPFIXOutput(
        configuration, schema: schema,
        transport: try session(connection, name: "tcp://\(host):\(port)"), description: description)
    case .tls(let host, let port):
      let connection = try TLSConnection(host: host, port: port, options: url.socket, settings: url.tls)
      return IPFIXOutput(
        configuration, schema: schema,
        transport: try session(connection, name: "tls://\(host):\(port)"), description: description)
    case .kafka(let target):
      return KafkaOutput(try KafkaSession(target, policy: policy), schema: schema)
    case .file(.ipfix, let path):
      return IPFIXOutput(
        configuration, schema: schema, transport: FileTransport(try file(path)), description: description)
    case .file(.json, let path):
      return LineOutput(JSONRecordWriter(), file: try file(path), schema: schema) {
        $0.render($1, isReverse: $2, into: &$3)
      }
    case .file(.csv, let path):
      let writer = CSVRecordWriter(
        columns: schema.columns(), names: settings.csvNames, sources: settings.captures,
        escapesFormulas: settings.csvEscape == .formulas)
      let heading = SharedBytes(copying: writer.output.contents)
      let file = try file(path, heading: heading, hasQuotedCells: true)
      return LineOutput(writer, file: file, schema: schema) {
        $0.render($1, isReverse: $2, into: &$3)
      }
    case .file(.text, let path):
      // A file may be read by a program.
      let writer = TextRecordWriter(isWide: settings.isWide || path != nil)
      let file = try file(path, heading: SharedBytes(copying: writer.output.contents))
      return LineOutput(writer, file: file, schema: schema) {
        $0.render($1, isReverse: $2, into: &$3)
      }
    }
  }
}

extension ExportURL {
  /// The name of the collector's directory in --spool's; nil for what is not spooled.
  ///
  /// - Parameter number: which export lcore's, from 0.
  fileprivate func spoolName(_ number: Int) -> String? {
    let lcore = number > 0 ? [String(number)] : []
    switch destination {
    case .tcp(let host, let port): return SpoolDirectory.name(["tcp", host, String(port)] + lcore)
    case .tls(let host, let port): return SpoolDirectory.name(["tls", host, String(port)] + lcore)
    default: return nil
    }
  }
}

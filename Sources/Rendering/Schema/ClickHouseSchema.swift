// ClickHouse reads a topic through a table of its Kafka engine; a view moves what it reads into a table that stays.

/// SQL that makes the three.
struct ClickHouseSchema {
  private let fields: [JSONField]
  private let brokers: String
  private let topic: String

  init(_ fields: [JSONField], brokers: String, topic: String) {
    self.fields = fields
    self.brokers = brokers
    self.topic = topic
  }

  /// The statements.
  var text: String {
    """
    -- Flow records of Martlet in Kafka's topic '\(topic)', for ClickHouse (martlet --print-schema clickhouse).
    CREATE TABLE IF NOT EXISTS \(name("")) (
    \(columns(comments: true))
    )
    ENGINE = MergeTree
    PARTITION BY toDate(`\(time)`)
    ORDER BY (`\(time)`);

    CREATE TABLE IF NOT EXISTS \(name("_queue")) (
    \(columns(comments: false))
    )
    ENGINE = Kafka
    SETTINGS
      kafka_broker_list = '\(brokers)',
      kafka_topic_list = '\(topic)',
      kafka_group_name = 'clickhouse',
      kafka_format = 'JSONEachRow',
      kafka_handle_error_mode = 'stream',
      date_time_input_format = 'best_effort',
      input_format_skip_unknown_fields = 1;

    CREATE MATERIALIZED VIEW IF NOT EXISTS \(name("_consumer")) TO \(name("")) AS
    SELECT * FROM \(name("_queue")) WHERE _error = '';

    """
  }

  /// The field by which rows are sorted.
  private var time: String {
    fields.first { $0.value == .time && !$0.isList }?.key ?? "iana:flowStartMicroseconds"
  }

  private func name(_ suffix: String) -> String { "`\(topic)\(suffix)`" }

  private func columns(comments: Bool) -> String {
    fields.map { field in
      "  `\(field.key)` \(Self.type(field))" + (comments ? " COMMENT '\(field.origin)'" : "")
    }.joined(separator: ",\n")
  }

  /// The type of a column. What a record lacks is NULL, but for lists, which are empty.
  static func type(_ field: JSONField) -> String {
    let plain =
      switch field.value {
      case .unsigned(let bits): "UInt\(bits)"
      case .signed(let bits): "Int\(bits)"
      case .float32: "Float32"
      case .ipv4Address: "IPv4"
      case .ipv6Address: "IPv6"
      case .time: "DateTime64(6, 'UTC')"
      case .address, .macAddress, .octets, .string: "String"
      }
    if field.isList { return "Array(\(plain))" }
    return field.isOptional || field.value == .float32 ? "Nullable(\(plain))" : plain
  }
}

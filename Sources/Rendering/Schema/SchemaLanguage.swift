// `--print-schema`: the JSON records as others declare tables, so that nobody writes a hundred columns by hand.

/// How a schema is written.
public enum SchemaLanguage: String, CaseIterable, Sendable {
  /// SQL for ClickHouse: the table, the topic as a table, and the view that moves rows from one to the other.
  case clickHouse = "clickhouse"
  /// The JSON of a StructType of Apache Spark.
  case spark
  /// JSON Schema, draft 2020-12.
  case jsonSchema = "json-schema"

  /// The schema of records with these fields.
  ///
  /// - Parameters:
  ///   - brokers: HOST:PORT, joined by commas, where the language wants to know.
  ///   - topic: the topic's name, and the table's.
  public func text(_ fields: [JSONField], brokers: String, topic: String) -> String {
    switch self {
    case .clickHouse: ClickHouseSchema(fields, brokers: brokers, topic: topic).text
    case .spark: SparkSchema.text(fields)
    case .jsonSchema: JSONSchema.text(fields)
    }
  }
}

/// Text of JSON for declarations, in which strings have no characters that need an escape.
enum SchemaText {
  /// A string with its quotes.
  static func quoted(_ text: String) -> String { "\"\(text)\"" }

  /// An object on one line.
  static func object(_ members: [(String, String)]) -> String {
    "{" + members.map { "\(quoted($0.0)): \($0.1)" }.joined(separator: ", ") + "}"
  }
}

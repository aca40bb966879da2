// libyaml's parser as a sequence of events. Events instead of a tree: an alias is refused where it stands, so that no file grows
// beyond its length, and nothing nests deeper than what reads it allows. (Yams, the Swift package around the same parser, makes
// trees, and needs all of Foundation.)
import CYAML

/// What a file has next.
struct YAMLEvent {
  /// What it is.
  enum Kind: Equatable {
    /// A value, and how it stands there.
    case scalar(String, Style)
    case sequenceStart
    case sequenceEnd
    case mappingStart
    case mappingEnd
    /// `*name`, which stands for what an anchor is at.
    case alias
    case documentStart
    case documentEnd
    case streamStart
    case streamEnd
  }

  /// How a value stands in the text.
  enum Style {
    /// Without quotes.
    case plain
    case quoted
    /// On lines of its own below a `|` or `>`.
    case block
  }

  let kind: Kind
  /// The line where it begins, from 1.
  let line: Int
  /// Whether an anchor (`&name`) or a tag (`!name`) stands before it.
  let isMarked: Bool
}

/// A parser over bytes that stay where they are.
///
/// Safe: libyaml initialises its parser and events before they are read, the bytes stay until the parser is gone, and each event
/// is deleted after it was copied.
struct YAMLParser: ~Copyable {
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let text: UnsafeMutableBufferPointer<UInt8>

  /// A parser of UTF-8; nil without memory.
  init?(_ bytes: [UInt8]) {
    let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    guard yaml_parser_initialize(parser) != 0 else {
      parser.deallocate()
      return nil
    }
    self.parser = parser
    text = .allocate(capacity: max(bytes.count, 1))
    _ = text.initialize(fromContentsOf: bytes)
    yaml_parser_set_input_string(parser, text.baseAddress, bytes.count)
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
    text.deallocate()
  }

  /// The next event.
  ///
  /// - Throws: what libyaml says against the text, and the line.
  mutating func next() throws(SettingsProblem) -> YAMLEvent {
    var event = yaml_event_t()
    guard yaml_parser_parse(parser, &event) != 0 else {
      let reason = parser.pointee.problem.map { String(cString: $0) } ?? "it is no YAML"
      throw SettingsProblem(Int(clamping: parser.pointee.problem_mark.line) + 1, "this is no YAML: \(reason)")
    }
    defer { yaml_event_delete(&event) }
    let line = Int(clamping: event.start_mark.line) + 1
    func made(_ kind: YAMLEvent.Kind, isMarked: Bool = false) -> YAMLEvent {
      YAMLEvent(kind: kind, line: line, isMarked: isMarked)
    }
    switch event.type {
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
      let style: YAMLEvent.Style =
        switch scalar.style {
        case YAML_PLAIN_SCALAR_STYLE: .plain
        case YAML_LITERAL_SCALAR_STYLE, YAML_FOLDED_SCALAR_STYLE: .block
        default: .quoted
        }
      return made(
        .scalar(String(decoding: bytes, as: UTF8.self), style),
        isMarked: scalar.anchor != nil || scalar.tag != nil)
    case YAML_SEQUENCE_START_EVENT:
      let start = event.data.sequence_start
      return made(.sequenceStart, isMarked: start.anchor != nil || start.tag != nil)
    case YAML_MAPPING_START_EVENT:
      let start = event.data.mapping_start
      return made(.mappingStart, isMarked: start.anchor != nil || start.tag != nil)
    case YAML_SEQUENCE_END_EVENT: return made(.sequenceEnd)
    case YAML_MAPPING_END_EVENT: return made(.mappingEnd)
    case YAML_ALIAS_EVENT: return made(.alias)
    case YAML_DOCUMENT_START_EVENT: return made(.documentStart)
    case YAML_DOCUMENT_END_EVENT: return made(.documentEnd)
    case YAML_STREAM_START_EVENT: return made(.streamStart)
    default: return made(.streamEnd)
    }
  }
}

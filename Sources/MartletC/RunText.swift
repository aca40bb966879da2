// What a run says of itself, as JSON for whoever wraps the library in another language.
import Captures
import Glibc
import Rendering

/// Text for a caller, who frees it.
enum CallerText {
  /// A copy; nil where there is no memory.
  static func make(_ text: String) -> UnsafeMutablePointer<CChar>? { strdup(text) }
}

/// JSON of the few things that the library says.
enum JSON {
  /// A string with its quotes.
  static func quoted(_ text: String) -> String {
    var buffer = OutputBuffer(capacity: text.utf8.count &+ 2)
    var text = text
    text.withUTF8 { buffer.append(json: UnsafeRawBufferPointer($0)) }
    return String(decoding: buffer.bytes, as: UTF8.self)
  }

  static func object(_ members: [(String, String)]) -> String {
    "{" + members.map { "\(quoted($0)): \($1)" }.joined(separator: ", ") + "}"
  }

  static func array(_ members: [String]) -> String { "[" + members.joined(separator: ", ") + "]" }
}

/// What became of a run.
enum RunText {
  static func problems(_ run: Run) -> UnsafeMutablePointer<CChar>? {
    CallerText.make(
      JSON.array(
        run.problems.map { problem in
          JSON.object([
            ("capture", JSON.quoted(problem.capture)), ("status", String(problem.status)),
            ("message", JSON.quoted(problem.message)), ("packets", String(problem.packets)),
          ])
        }))
  }

  static func counters(_ run: Run) -> UnsafeMutablePointer<CChar>? {
    CallerText.make(JSON.object(run.counters.values.map { ($0.name, String($0.value)) }))
  }
}

/// The library's version as C has it.
enum VersionText {
  /// Safe between threads: nobody writes to it, and it stays as long as the process.
  nonisolated(unsafe) static let pointer: UnsafePointer<CChar>? = UnsafePointer(strdup(Product.version))
}

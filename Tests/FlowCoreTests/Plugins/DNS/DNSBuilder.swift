// DNS messages for tests, put together from RFC 1035's formats.

/// Makes DNS messages.
enum DNSBuilder {
  static func word(_ number: Int) -> [UInt8] { [UInt8(number >> 8 & 0xFF), UInt8(number & 0xFF)] }
  static func long(_ number: UInt32) -> [UInt8] { (0..<4).map { UInt8(number >> (24 - 8 * $0) & 0xFF) } }

  /// A name without pointers.
  static func name(_ text: String) -> [UInt8] {
    text.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
  }

  /// A pointer to `offset`.
  static func pointer(_ offset: Int) -> [UInt8] { word(0xC000 | offset) }

  /// The first question's name in a message.
  static let firstName = pointer(12)

  /// A character string.
  static func string(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + Array(text.utf8) }

  static func question(_ owner: String, _ type: Int, class number: Int = 1) -> [UInt8] {
    name(owner) + word(type) + word(number)
  }

  static func record(
    _ owner: [UInt8], _ type: Int, _ data: [UInt8], class number: Int = 1, timeToLive: UInt32 = 300
  ) -> [UInt8] {
    owner + word(type) + word(number) + long(timeToLive) + word(data.count) + data
  }

  /// An OPT record (RFC 6891).
  static func options(size: Int, isSecure: Bool) -> [UInt8] {
    record([0], 41, [], class: size, timeToLive: isSecure ? 0x8000 : 0)
  }

  static func message(
    _ identifier: Int, flags: Int = 0x0100, _ questions: [[UInt8]] = [], answers: [[UInt8]] = [],
    authorities: [[UInt8]] = [], additionals: [[UInt8]] = []
  ) -> [UInt8] {
    word(identifier) + word(flags) + word(questions.count) + word(answers.count) + word(authorities.count)
      + word(additionals.count) + (questions + answers + authorities + additionals).flatMap { $0 }
  }

  static func message(
    flags: Int = 0x0100, _ questions: [[UInt8]] = [], answers: [[UInt8]] = [], authorities: [[UInt8]] = [],
    additionals: [[UInt8]] = []
  ) -> [UInt8] {
    message(
      0x1234, flags: flags, questions, answers: answers, authorities: authorities, additionals: additionals)
  }

  /// A response to a question, with these answers.
  static func response(_ question: [UInt8], _ answers: [[UInt8]], identifier: Int = 0x1234) -> [UInt8] {
    message(identifier, flags: 0x8180, [question], answers: answers)
  }

  /// A message as TCP has it.
  static func framed(_ message: [UInt8]) -> [UInt8] { word(message.count) + message }
}

// Plugin osquery's questions: who asks osqueryi, when, and what becomes of the answers. The control lcore does, between its
// other work and without waiting; offline the only thread does, once, before it reads.
import FlowCore
import Glibc
import Synchronization

/// Asks osqueryi about this host and tells the plugin. For one thread.
final class HostQuery {
  private enum Question {
    case description
    case sockets

    var query: String {
      switch self {
      case .description: HostAnswers.descriptionQuery
      case .sockets: HostAnswers.socketsQuery
      }
    }
  }

  /// Nanoseconds that osqueryi gets for an answer.
  private static let limit: UInt64 = 10_000_000_000
  /// Nanoseconds from one look at a running osqueryi to the next.
  private static let pause: UInt64 = 20_000_000

  private let path: String
  private let interval: UInt64
  private let answers: HostKnowledge
  /// Nanoseconds that a connection is kept for after osqueryi last told of it.
  private let kept: UInt64

  private var child: ChildProcess?
  private var question = Question.description
  private var knowsDescription = false
  /// When the next question is asked.
  private var due: UInt64 = 0
  /// The connections, and when each was told of last.
  private var sockets: [SocketKey: (owner: SocketOwner, time: UInt64)] = [:]
  /// Whether the last answer was none, and whether connections were left out: each is said when it begins.
  private var isFailing = false
  private var isCrowded = false

  /// For plugin osquery; nil, and said, where there is no osqueryi. Flows are looked up when they end, up to both timeouts
  /// after their connection did: for so long it is remembered.
  init?(_ question: HostQuestion, _ configuration: RunConfiguration) {
    guard let path = Self.find(question.program) else {
      let place = question.program.contains("/") ? "it is no program" : "there is none in PATH"
      logger.warning(
        """
        plugin osquery: cannot ask \(question.program): \(place); no flow has its fields. Install osquery, or give \
        --plugin osquery:path=PROGRAM
        """)
      return nil
    }
    self.path = path
    interval = UInt64(question.interval) * 1_000_000_000
    answers = question.answers
    kept = configuration.activeTimeout.nanoseconds + configuration.inactiveTimeout.nanoseconds + interval
  }

  /// Does what there is to do at `now`, nanoseconds of the monotonic clock; returns when there is more.
  func work(_ now: UInt64) -> UInt64 {
    look(now)
    if child == nil, now >= due { ask(now) }
    return child == nil ? due : now + Self.pause
  }

  /// Asks each question once, and waits for the answers until `stop`.
  func askOnce(until stop: borrowing Atomic<Bool>) {
    ask(Clock.monotonic())
    while child != nil, !stop.load(ordering: .relaxed) {
      child?.wait(milliseconds: 20)
      look(Clock.monotonic())
    }
    end()
  }

  /// Ends an osqueryi that is at work.
  func end() { child = nil }

  /// Asks about the host, while that is not known, and then about its connections.
  private func ask(_ now: UInt64) {
    due = now + interval
    start(knowsDescription ? .sockets : .description)
  }

  private func start(_ question: Question) {
    self.question = question
    do {
      child = try ChildProcess(path, ["--json", question.query], limit: Self.limit)
    } catch {
      complain(error.description)
    }
  }

  /// Takes the answer, if there is one.
  private func look(_ now: UInt64) {
    guard let outcome = child?.look() else { return }
    child = nil
    do {
      // More than find room, so that it is known how many do not.
      let rows = try JSONRows(try outcome.get(), most: 4 * HostKnowledge.mostSockets).rows
      if isFailing { logger.info("plugin osquery: \(path) answers again") }
      isFailing = false
      switch question {
      case .description:
        describe(rows)
        start(.sockets)
      case .sockets: tell(rows, now)
      }
    } catch {
      complain(error.description)
    }
  }

  private func describe(_ rows: [[String: String]]) {
    guard let description = HostAnswers.description(rows) else { return }
    answers.publish(description)
    knowsDescription = true
  }

  private func tell(_ rows: [[String: String]], _ now: UInt64) {
    for (key, owner) in HostAnswers.owners(rows) { sockets[key] = (owner, now) }
    sockets = sockets.filter { now - $0.value.time <= kept }
    var left = sockets.count - HostKnowledge.mostSockets
    if left > 0 {
      // Those that are open now, and of the others the last ones.
      let newest = sockets.sorted { $0.value.time > $1.value.time }.prefix(HostKnowledge.mostSockets)
      sockets = Dictionary(uniqueKeysWithValues: newest.map { ($0.key, $0.value) })
    }
    left = max(0, left) + answers.publish(sockets.mapValues(\.owner))
    if left > 0, !isCrowded {
      logger.warning(
        "plugin osquery: \(left) connections of this host are left out: at most \(HostKnowledge.mostSockets) find room"
      )
    }
    isCrowded = left > 0
  }

  /// Says why there is no answer, unless that was said of the last one.
  private func complain(_ why: String) {
    if !isFailing { logger.warning("plugin osquery: \(path) \(why)") }
    isFailing = true
  }

  /// The path of a program that may be run: what has a slash itself, else the first in PATH.
  static func find(_ program: String) -> String? {
    if program.contains("/") { return isProgram(program) ? program : nil }
    guard !program.isEmpty, let folders = getenv("PATH") else { return nil }
    return String(cString: folders).split(separator: ":").map { "\($0)/\(program)" }.first(where: isProgram)
  }

  private static func isProgram(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
  }
}

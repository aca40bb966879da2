// A program that is asked something and answers on its standard output: started without a shell, bounded in time and output,
// and gone, with its process group, when its value is.
import CSockets
import Glibc

/// A process that runs until it has said all, or too much, or for too long.
struct ChildProcess: ~Copyable {
  /// The most bytes of an answer.
  static let largestAnswer = 4 << 20

  private let identifier: pid_t
  /// The pipe from its standard output, which is not waited for.
  private let output: Int32
  /// Nanoseconds of the monotonic clock at which it is killed.
  private let deadline: UInt64
  private var answer: [UInt8] = []
  private var isClosed = false
  private var isReaped = false

  /// Starts the program at `path` with `arguments` and no input; what it says on standard error is nobody's. It gets `limit`
  /// nanoseconds.
  ///
  /// - Throws: why it does not start, in words that follow its name.
  init(_ path: String, _ arguments: [String], limit: UInt64) throws(Failure) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw .general("has no pipe (\(errorText(errno)))") }
    // It gets a copy of one end as its standard output, and neither of these.
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    let (status, started) = Self.spawn(path, arguments, output: ends[1])
    close(ends[1])
    guard status == 0 else {
      close(ends[0])
      throw .general("does not start (\(errorText(status)))")
    }
    identifier = started
    output = ends[0]
    deadline = Clock.monotonic() &+ limit
  }

  deinit {
    if !isReaped { Self.end(identifier) }
    close(output)
  }

  /// Takes what it has said; nil while it goes on, else all that it said, or in words that follow its name why that is no
  /// answer. Never waits.
  mutating func look() -> Result<[UInt8], Failure>? {
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while !isClosed {
      let count = part.withUnsafeMutableBytes { read(output, $0.baseAddress, $0.count) }
      if count > 0 {
        answer += part.prefix(count)
        guard answer.count <= Self.largestAnswer else {
          return .failure(.general("says more than \(Self.largestAnswer >> 20) MiB"))
        }
      } else if count == 0 {
        isClosed = true
      } else if errno == EAGAIN {
        break
      } else if errno != EINTR {
        return .failure(.general("cannot be read (\(errorText(errno)))"))
      }
    }
    var status: Int32 = 0
    if isClosed, waitpid(identifier, &status, WNOHANG) == identifier {
      isReaped = true
      // As WIFEXITED and WEXITSTATUS read it.
      if status == 0 { return .success(answer) }
      return .failure(
        .general(
          status & 0x7F == 0
            ? "ends with status \(status >> 8 & 0xFF)" : "is killed by signal \(status & 0x7F)"))
    }
    return Clock.monotonic() >= deadline ? .failure(.general("takes too long")) : nil
  }

  /// Waits until it says something or ends, at most `milliseconds`.
  func wait(milliseconds: Int32) {
    var waiting = pollfd(fd: isClosed ? -1 : output, events: Int16(POLLIN), revents: 0)
    _ = poll(&waiting, 1, milliseconds)
  }

  /// Starts the process in a group of its own, with no descriptors but its three and no signal blocked or ignored; the errno,
  /// and its number.
  private static func spawn(_ path: String, _ arguments: [String], output: Int32) -> (Int32, pid_t) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
    // Drivers open what they like, and do not say that it is theirs alone.
    martlet_close_from(&actions, STDERR_FILENO + 1)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    // Of the environment what programs cannot do without.
    var settings: [String] = []
    for name in ["PATH", "HOME"] {
      if let value = getenv(name) { settings.append("\(name)=\(String(cString: value))") }
    }
    var words = ([path] + arguments).map { strdup($0) } + [nil]
    var environment = settings.map { strdup($0) } + [nil]
    defer { for word in words + environment { free(word) } }
    var started: pid_t = 0
    return (posix_spawn(&started, path, &actions, &attributes, &words, &environment), started)
  }

  /// Kills the process and its group and takes its status, so that nothing of it is left.
  private static func end(_ identifier: pid_t) {
    _ = kill(-identifier, SIGKILL)
    _ = kill(identifier, SIGKILL)
    // At once, but for one that hangs in the kernel, which may stay as long as it likes: the lcore has more to do.
    for _ in 0..<200 {
      if waitpid(identifier, nil, WNOHANG) != 0 { return }
      usleep(1000)
    }
  }
}

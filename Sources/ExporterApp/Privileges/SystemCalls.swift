// The system calls that Martlet and its libraries make once all is open, declared here for the filter, for
// --list-system-calls and for the manual.

/// System calls with one purpose.
struct SystemCallGroup: Sendable {
  /// What they are for.
  let purpose: String
  /// What is allowed.
  let calls: [SystemCall]

  private init(_ purpose: String, _ names: String, _ others: [SystemCall] = []) {
    self.purpose = purpose
    calls = names.split(separator: " ").map { SystemCall(name: String($0)) } + others
  }

  /// All that `--seccomp on` allows.
  static let all = [
    SystemCallGroup(
      "memory",
      "brk madvise mbind memfd_create get_mempolicy set_mempolicy mincore mlock mremap msync munlock munmap",
      [
        SystemCall(
          name: "mmap", limit: "none that is writable and executable",
          rules: [.without(argument: 2, bits: Bits.writable), .without(argument: 2, bits: Bits.executable)]),
        SystemCall(
          name: "mprotect", limit: "not executable", rules: [.without(argument: 2, bits: Bits.executable)]),
      ]),
    SystemCallGroup(
      "threads and waiting",
      """
      clone clone3 exit exit_group futex get_robust_list getcpu gettid membarrier restart_syscall rseq sched_getaffinity \
      sched_getparam sched_getscheduler sched_setaffinity sched_yield set_robust_list epoll_create1 epoll_ctl epoll_pwait \
      epoll_wait eventfd2 poll ppoll pselect6 select
      """,
      [
        SystemCall(
          name: "prctl", limit: "names of threads",
          rules: [.equal(argument: 0, Bits.setName), .equal(argument: 0, Bits.getName)])
      ]),
    SystemCallGroup(
      "signals and the report of a crash",
      """
      alarm pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
      rt_tgsigqueueinfo setitimer sigaltstack tgkill
      """),
    SystemCallGroup(
      "time",
      """
      clock_getres clock_gettime clock_nanosleep gettimeofday nanosleep time timerfd_create timerfd_gettime timerfd_settime
      """),
    SystemCallGroup(
      "files",
      """
      access close copy_file_range dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate fcntl fdatasync flock fstat fstatfs \
      fsync ftruncate getcwd getdents64 lseek lstat mkdir mkdirat newfstatat open openat pipe pipe2 pread64 preadv pwrite64 \
      pwritev read readlink readlinkat readv rename renameat renameat2 rmdir stat statfs statx sync_file_range umask unlink \
      unlinkat write writev
      """),
    SystemCallGroup("devices and terminals", "ioctl"),
    SystemCallGroup(
      "collectors, names of hosts, telemetry",
      """
      accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto \
      setsockopt shutdown socketpair
      """,
      [
        SystemCall(
          name: "socket", limit: "Unix, IPv4, IPv6, netlink",
          rules: [1, 2, 10, 16].map { .equal(argument: 0, $0) })
      ]),
    SystemCallGroup(
      "about the process and the machine",
      "getegid geteuid getgid getgroups getpid getppid getrandom getresgid getresuid getrlimit getrusage getuid sysinfo uname",
      [SystemCall(name: "prlimit64", limit: "to read limits", rules: [.equal(argument: 2, 0)])]),
  ]

  /// Numbers of the Linux ABI for x86-64.
  private enum Bits {
    static let writable: UInt64 = 2
    static let executable: UInt64 = 4
    static let setName: UInt64 = 15
    static let getName: UInt64 = 16
  }
}

/// A system call that is allowed, whatever its arguments or with some only.
struct SystemCall: Sendable {
  /// As the kernel names it.
  let name: String
  /// What its arguments must be, in words; nil for anything.
  var limit: String?
  /// One of these must hold; none for anything.
  var rules: [Rule] = []

  /// What an argument must be.
  struct Rule: Sendable {
    /// Which one, from 0.
    let argument: UInt32
    /// The bits that are looked at, and what they must be.
    let mask: UInt64
    let value: UInt64

    /// None of these bits is set.
    static func without(argument: UInt32, bits: UInt64) -> Rule {
      Rule(argument: argument, mask: bits, value: 0)
    }

    /// The argument is this.
    static func equal(argument: UInt32, _ value: UInt64) -> Rule {
      Rule(argument: argument, mask: .max, value: value)
    }
  }
}

/// `--list-system-calls`: a line for each purpose, for people and for the table in docs/operations.md that is made from it.
enum SystemCallList {
  static var text: String {
    let rows = SystemCallGroup.all.map { group in
      let calls = group.calls.sorted { $0.name < $1.name }
      return [
        group.purpose, calls.map { $0.name + ($0.limit.map { " (\($0))" } ?? "") }.joined(separator: ", "),
      ]
    }
    return TextTable.text([["for", "system calls"]] + rows, [.left])
  }
}

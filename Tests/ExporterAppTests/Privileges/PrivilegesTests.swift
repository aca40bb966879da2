// What --user and --seccomp mean before the kernel is asked.
import Testing

@testable import ExporterApp

@Suite struct PrivilegesTests {
  @Test func aUserHasAGroupOrNot() throws {
    let plain = try UserName("martlet")
    #expect(plain.user == "martlet" && plain.group == nil)
    let grouped = try UserName("martlet:adm")
    #expect(grouped.user == "martlet" && grouped.group == "adm")
  }

  @Test(arguments: ["", ":", ":adm", "martlet:", "a:b:c"])
  func whatIsNoUserIsRefused(_ text: String) {
    #expect(throws: InvalidValue.self) { try UserName(text) }
  }

  /// A call that is declared twice would have the weaker of its limits.
  @Test func eachCallIsDeclaredOnce() {
    let names = SystemCallGroup.all.flatMap(\.calls).map(\.name)
    #expect(names.count > 100 && Set(names).count == names.count)
  }

  /// What would give an intruder another program, another user or other processes is not there.
  @Test(arguments: [
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "kill", "setuid", "setgid",
    "capset", "chmod",
    "chown", "fchown", "mount", "bpf", "init_module", "keyctl", "perf_event_open", "unshare", "pkey_mprotect",
    "io_uring_setup",
  ])
  func whatAnIntruderWantsIsNotThere(_ name: String) {
    #expect(!SystemCallGroup.all.flatMap(\.calls).contains { $0.name == name })
  }

  @Test func theListNamesCallsAndLimits() {
    let lines = SystemCallList.text.split(separator: "\n")
    #expect(lines.count == SystemCallGroup.all.count + 1)
    #expect(lines.contains { $0.hasPrefix("memory ") && $0.contains("mprotect (not executable)") })
  }
}

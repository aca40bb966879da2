// The kernel's filter of system calls (seccomp), made by libseccomp of what SystemCalls.swift declares.
import CSeccomp
import Glibc

/// The filter, for all threads that there are and will be, until the process ends.
enum SystemCallFilter {
  /// Has every call that is not declared fail with EPERM, as if the process lacked the right to it, and be named in the
  /// kernel's log. To end the process instead would lose records for a call that some library makes in vain.
  ///
  /// - Throws: the kernel or libseccomp has no such filter.
  static func load() throws(Failure) {
    guard let filter = seccomp_init(martlet_seccomp_errno(UInt16(EPERM))) else { throw failure(ENOMEM) }
    defer { seccomp_release(filter) }
    // All threads, and not only the calling one.
    try check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1))
    // Old kernels cannot; the calls fail all the same.
    _ = seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1)
    for call in SystemCallGroup.all.flatMap(\.calls) { try allow(call, in: filter) }
    try check(seccomp_load(filter))
  }

  /// Allows one call, with each of its rules.
  private static func allow(_ call: SystemCall, in filter: scmp_filter_ctx) throws(Failure) {
    let number = seccomp_syscall_resolve_name(call.name)
    guard !call.rules.isEmpty else {
      return try check(seccomp_rule_add_array(filter, martlet_seccomp_allow(), number, 0, nil))
    }
    for rule in call.rules {
      var comparison = scmp_arg_cmp(
        arg: rule.argument, op: SCMP_CMP_MASKED_EQ, datum_a: rule.mask, datum_b: rule.value)
      try check(seccomp_rule_add_array(filter, martlet_seccomp_allow(), number, 1, &comparison))
    }
  }

  /// libseccomp gives 0 or a negative errno.
  private static func check(_ status: Int32) throws(Failure) {
    if status < 0 { throw failure(-status) }
  }

  private static func failure(_ code: Int32) -> Failure {
    .general("cannot filter system calls: \(errorText(code)): add --seccomp off to run without")
  }
}

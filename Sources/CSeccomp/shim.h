// libseccomp for Swift: the filter of system calls, and what Swift's importer cannot express of it (macros, and prctl's
// varying arguments).
#ifndef CSECCOMP_SHIM_H
#define CSECCOMP_SHIM_H
#include <errno.h>
#include <seccomp.h>
#include <sys/prctl.h>

/// What becomes of a call that is not allowed: it fails with this errno.
static inline uint32_t martlet_seccomp_errno(uint16_t number) { return SCMP_ACT_ERRNO(number); }
/// What becomes of a call that is allowed.
static inline uint32_t martlet_seccomp_allow(void) { return SCMP_ACT_ALLOW; }
/// No program that the calling thread, or one that it makes later, starts gives it privileges; 0 or an errno.
static inline int martlet_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : errno; }
#endif

// What a process that is killed by a fault says last: a line on standard error, and a capture of the last burst. In C,
// because a signal handler may only call what is async-signal-safe, which Swift does not promise of anything.
#ifndef CCRASH_H
#define CCRASH_H
#include "CrashLine.h"
#include <stddef.h>
#include <stdint.h>

/// Where the handler finds the parts of what the trace points to: offsets in bytes (FlowCore's `TraceLayout`).
typedef struct {
  /// A word: source address in the upper, destination address in the lower half (IPv4).
  size_t packet_addresses;
  /// A word: source port, destination port, then bit 28 for IPv6, VLAN id from bit 16, protocol from bit 8.
  size_t packet_rest;
  /// A pointer to the frame's bytes.
  size_t packet_frame;
  /// 32 bits: how many of them were captured.
  size_t packet_captured;
  /// 32 bits: where among them the IP header begins.
  size_t packet_network;
  /// As those of the packet.
  size_t record_addresses;
  size_t record_rest;
  /// Four words: the halves of the IPv6 source address, upper first, then those of the destination.
  size_t record_addresses6;
} martlet_crash_layout;

/// One frame as the engine has it (FlowCore's `Frame`).
typedef struct {
  const void *bytes;
  uint32_t captured;
  uint32_t wire;
} martlet_crash_frame;

/// Installs the handler for SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT and SIGTRAP, and gives the calling thread a stack
/// for it. The line goes to where standard error leads now, also when the descriptor leads elsewhere later.
void martlet_crash_install(martlet_crash_layout layout);
/// Names the folder that captures go to. Returns 0, or the errno that keeps it from being used.
int martlet_crash_directory(const char *path);
/// Names the plugin in `slot` (0 and up; at most 31 bytes of the name are kept). Before other threads run.
void martlet_crash_plugin(uint32_t slot, const char *name);
/// The LINKTYPE_ number of the frames that are looked at from now on; 1 (Ethernet) until told otherwise.
void martlet_crash_link_type(uint32_t number);
/// Has the calling thread, which waits for signals, get `number` when a report begins: a backtrace of Swift's runtime
/// stops the other threads by signals, which a thread must not take away.
void martlet_crash_wake(int number);
/// Whether a report has begun, after which the process ends.
int martlet_crash_has_begun(void);
/// Tells the handler what the calling thread is ("lcore 2 (worker)"; at most 63 bytes are kept) and gives it a stack to
/// handle signals on, so that a stack that overflowed is told as well.
void martlet_crash_thread(const char *name);
/// The same for an lcore's thread.
void martlet_crash_lcore(uint32_t lcore, const char *role);
#endif

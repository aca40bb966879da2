// What glibc declares for Swift only with _GNU_SOURCE: sendmmsg, renameat2, and closing a new process's descriptors.
// And two questions about files for which C has the types.
#ifndef MARTLET_CSOCKETS_H
#define MARTLET_CSOCKETS_H

#include <spawn.h>
#include <stddef.h>
#include <stdint.h>

/// The most runs of one call.
#define MARTLET_RUNS 32

/// The most datagrams of one run: what Linux 4.18 allows (UDP_MAX_SEGMENTS); later versions allow 128.
#define MARTLET_SEGMENTS 64

/// Datagrams that lie back to back in memory and have the same length, except the last one, which may be shorter.
struct martlet_run {
  void *bytes;
  size_t length;
  /// The length of each datagram, which the kernel cuts off behind its stack (UDP_SEGMENT); 0 when there is only one.
  uint16_t segment;
};

/// The longest datagram that the kernel can cut off a run for the peer of a connected socket: what fits the route's
/// MTU; 0 where there is no UDP_SEGMENT (before Linux 4.18). The route may refuse a run all the same when it is sent.
size_t martlet_longest_segment(int socket);

/// Has the kernel keep what routers and the peer say about datagrams that did not arrive (ICMP) until
/// martlet_take_refusal, and report what a full device queue dropped.
void martlet_keep_refusals(int socket);

/// Takes all such messages; the errno of the last one (ECONNREFUSED, EHOSTUNREACH, …), or 0 when there was none.
int martlet_take_refusal(int socket);

/// Sends `count` runs, at most MARTLET_RUNS, on a connected socket with one system call. A run is sent as a whole or
/// not at all. Returns how many were sent, or -1 and errno when not even the first one was.
int martlet_send_runs(int socket, const struct martlet_run *runs, unsigned count, int flags);

/// Has the kernel ask the peer of an idle TCP connection after 30 seconds, and every 10 from then on, whether it is
/// still there; three questions without an answer end the connection.
void martlet_keep_alive(int socket);

/// For how many milliseconds the peer of a TCP connection has said nothing although something was sent to it again; 0
/// where there is no such need.
unsigned martlet_unanswered(int socket);

/// Whether an open file lies on a hugetlbfs.
int martlet_is_hugetlbfs(int descriptor);

/// Takes the POSIX write lock on a whole file for this process; 0, or -1 where another process holds one on it.
int martlet_lock_whole(int descriptor);

/// Gives a file another name in the same file system, unless something has that name already. Returns 0, or -1 and
/// errno (EEXIST).
int martlet_rename_new(const char *from, const char *to);

/// Has a process that will be started with `actions` close all descriptors from `lowest` on; 0, or an errno.
int martlet_close_from(posix_spawn_file_actions_t *actions, int lowest);

/// What an interface of the kernel's puts together or takes apart, so that a program that looks on sees frames which
/// were never on the wire.
#define MARTLET_GRO 1
#define MARTLET_LRO 2
#define MARTLET_GSO 4
#define MARTLET_TSO 8

/// Which of these the interface with this name has switched on; 0 also where it does not say.
unsigned martlet_offloads(const char *interface);

/// Whether this kernel has AF_XDP.
int martlet_has_xdp(void);

#endif

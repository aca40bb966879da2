// sendmmsg for Swift: glibc declares it only with _GNU_SOURCE, which the Glibc module is built without.
#ifndef MARTLET_CSOCKETS_H
#define MARTLET_CSOCKETS_H

#include <sys/uio.h>

/// The most datagrams of one call.
#define MARTLET_DATAGRAMS 32

/// Sends `count` datagrams, at most MARTLET_DATAGRAMS, of one vector each, on a connected socket with one system call.
/// Returns how many were sent, or -1 and errno when not even the first one was.
int martlet_send_datagrams(int socket, struct iovec *vectors, unsigned count, int flags);

#endif

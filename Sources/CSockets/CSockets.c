#define _GNU_SOURCE
#include "CSockets.h"

#include <string.h>
#include <sys/socket.h>

int martlet_send_datagrams(int socket, struct iovec *vectors, unsigned count, int flags) {
  struct mmsghdr headers[MARTLET_DATAGRAMS];
  if (count > MARTLET_DATAGRAMS) count = MARTLET_DATAGRAMS;
  memset(headers, 0, sizeof headers);
  for (unsigned index = 0; index < count; index++) {
    headers[index].msg_hdr.msg_iov = &vectors[index];
    headers[index].msg_hdr.msg_iovlen = 1;
  }
  return sendmmsg(socket, headers, count, flags);
}

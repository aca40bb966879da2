#define _GNU_SOURCE
#include "CSockets.h"

#include <time.h>
// Wants timespec.
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/ethtool.h>
#include <linux/magic.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

void martlet_keep_alive(int socket) {
  int on = 1, idle = 30, interval = 10, count = 3;
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

unsigned martlet_unanswered(int socket) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return 0;
  return info.tcpi_retransmits > 0 ? info.tcpi_last_ack_recv : 0;
}

size_t martlet_longest_segment(int socket) {
  int family = 0, mtu = 0, segment = 0;
  socklen_t length = sizeof(int);
  if (getsockopt(socket, IPPROTO_UDP, UDP_SEGMENT, &segment, &length) != 0) return 0;
  if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &length) != 0) return 0;
  int isVersion6 = family == AF_INET6;
  int level = isVersion6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (getsockopt(socket, level, isVersion6 ? IPV6_MTU : IP_MTU, &mtu, &length) != 0) return 0;
  int headers = isVersion6 ? 48 : 28;
  if (mtu > UINT16_MAX) mtu = UINT16_MAX;
  return mtu > headers ? mtu - headers : 0;
}

void martlet_keep_refusals(int socket) {
  int on = 1;
  // One of the two is for another family and fails.
  setsockopt(socket, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
  setsockopt(socket, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
}

int martlet_take_refusal(int socket) {
  int code = 0;
  for (;;) {
    // The error, the address of who reports it, and room for other messages.
    union {
      struct cmsghdr header;
      char bytes[256];
    } control;
    struct msghdr header = {.msg_control = &control, .msg_controllen = sizeof control};
    if (recvmsg(socket, &header, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return code;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(&header); item; item = CMSG_NXTHDR(&header, item)) {
      if (!(item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_RECVERR) &&
          !(item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_RECVERR))
        continue;
      struct sock_extended_err error;
      memcpy(&error, CMSG_DATA(item), sizeof error);
      if (error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6) code = error.ee_errno;
    }
  }
}

/// The control message that says how long a run's datagrams are.
union control {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(uint16_t))];
};

int martlet_send_runs(int socket, const struct martlet_run *runs, unsigned count, int flags) {
  struct mmsghdr headers[MARTLET_RUNS];
  struct iovec vectors[MARTLET_RUNS];
  union control controls[MARTLET_RUNS];
  if (count > MARTLET_RUNS) count = MARTLET_RUNS;
  memset(headers, 0, count * sizeof headers[0]);
  for (unsigned index = 0; index < count; index++) {
    struct msghdr *header = &headers[index].msg_hdr;
    vectors[index] = (struct iovec){runs[index].bytes, runs[index].length};
    header->msg_iov = &vectors[index];
    header->msg_iovlen = 1;
    if (runs[index].segment == 0) continue;
    memset(&controls[index], 0, sizeof controls[index]);
    header->msg_control = &controls[index];
    header->msg_controllen = sizeof controls[index].bytes;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof runs[index].segment);
    memcpy(CMSG_DATA(control), &runs[index].segment, sizeof runs[index].segment);
  }
  return sendmmsg(socket, headers, count, flags);
}

int martlet_is_hugetlbfs(int descriptor) {
  struct statfs status;
  return fstatfs(descriptor, &status) == 0 && (unsigned long)status.f_type == HUGETLBFS_MAGIC;
}

int martlet_lock_whole(int descriptor) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return fcntl(descriptor, F_SETLK, &lock);
}

int martlet_rename_new(const char *from, const char *to) {
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  // Not every file system (NFS) knows the flag; a second name is never given over another file either.
  if (errno != EINVAL && errno != ENOSYS) return -1;
  if (link(from, to) != 0) return -1;
  unlink(from);
  return 0;
}

int martlet_close_from(posix_spawn_file_actions_t *actions, int lowest) {
  return posix_spawn_file_actions_addclosefrom_np(actions, lowest);
}

// One answer of ethtool's first interface, which every driver has.
static unsigned ethtool_value(int socket, const char *interface, uint32_t command) {
  struct ethtool_value value = {.cmd = command};
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, interface, sizeof request.ifr_name - 1);
  request.ifr_data = (void *)&value;
  return ioctl(socket, SIOCETHTOOL, &request) == 0 ? value.data : 0;
}

unsigned martlet_offloads(const char *interface) {
  int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return 0;
  unsigned found = 0;
  if (ethtool_value(descriptor, interface, ETHTOOL_GGRO) != 0) found |= MARTLET_GRO;
  if ((ethtool_value(descriptor, interface, ETHTOOL_GFLAGS) & ETH_FLAG_LRO) != 0) found |= MARTLET_LRO;
  if (ethtool_value(descriptor, interface, ETHTOOL_GGSO) != 0) found |= MARTLET_GSO;
  if (ethtool_value(descriptor, interface, ETHTOOL_GTSO) != 0) found |= MARTLET_TSO;
  close(descriptor);
  return found;
}

int martlet_has_xdp(void) {
  int descriptor = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (descriptor >= 0) close(descriptor);
  // Without the right to have one it is there all the same.
  return descriptor >= 0 || errno == EPERM;
}

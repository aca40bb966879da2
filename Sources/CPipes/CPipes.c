// See CPipes.h.
#define _GNU_SOURCE
#include "CPipes.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

int martlet_stop_open(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void martlet_stop_tell(int stop) { eventfd_write(stop, 1); }

struct pipe_source {
  int descriptor;
  int stop;
};

static ssize_t take(void *cookie, char *octets, size_t count) {
  const struct pipe_source *source = cookie;
  for (;;) {
    struct pollfd watched[] = {{source->descriptor, POLLIN, 0}, {source->stop, POLLIN, 0}};
    if (poll(watched, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return -1;
    }
    if (watched[1].revents != 0) {
      errno = ECANCELED;
      return -1;
    }
    ssize_t taken = read(source->descriptor, octets, count);
    if (taken < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    return taken;
  }
}

static int finish(void *cookie) {
  struct pipe_source *source = cookie;
  int status = close(source->descriptor);
  free(source);
  return status;
}

FILE *martlet_pipe_open(const char *path, int stop) {
  // Without waiting for somebody to write: `take` waits.
  int descriptor = path == NULL ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return NULL;
  struct pipe_source *source = malloc(sizeof *source);
  FILE *stream = NULL;
  if (source != NULL) {
    *source = (struct pipe_source){descriptor, stop};
    stream = fopencookie(source, "rb", (cookie_io_functions_t){.read = take, .close = finish});
  }
  if (stream == NULL) {
    free(source);
    close(descriptor);
    errno = ENOMEM;
  }
  return stream;
}

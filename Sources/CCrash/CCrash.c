// The handler: nothing here allocates, locks or formats by stdio. What the trace points to is read through a pipe,
// whose write says EFAULT where a pointer is wrong, so that damaged memory cannot end the report. A fault in the report
// all the same ends the process: its signal is blocked by then, and the system's answer to that is the default action.
#define _GNU_SOURCE
#include "CCrash.h"
#include <CIntrinsics.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
  NAME_SIZE = 64,
  PLUGIN_NAME_SIZE = 32,
  STACK_SIZE = 65536,
  MOST_FRAMES = 32,
  /// The longest frame that a capture takes, libpcap's limit.
  LONGEST_FRAME = 262144,
  /// Seconds after which a report that hangs, on a disk that does not answer, is given up.
  LONGEST_REPORT = 10,
};

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
enum { SIGNAL_COUNT = sizeof(signals) / sizeof(signals[0]) };

_Static_assert(sizeof(martlet_crash_frame) == 16, "FlowCore's Frame has 16 bytes");

static martlet_crash_layout layout;
/// What was to happen before, by `signals`: the default action, or what shows a backtrace.
static struct sigaction before[SIGNAL_COUNT];
static int error_descriptor = STDERR_FILENO;
static int probe[2] = {-1, -1};
static int directory_descriptor = -1;
static char directory_name[512];
static char plugin_names[MARTLET_TRACE_SLOTS][PLUGIN_NAME_SIZE];
static _Atomic uint32_t link_type = 1;
static pthread_key_t stack_key;
static int has_stack_key;
static _Thread_local char thread_name[NAME_SIZE] __attribute__((tls_model("initial-exec")));
static _Atomic int reporting = 0;
/// The thread that waits for signals, and the one that wakes it; 0 for none.
static _Atomic int waiting_thread = 0;
static int wake_signal = 0;

/// Copies up to 64 bytes from an address that may be wrong; 0 when it is.
static int read_memory(void *to, const void *from, size_t count) {
  char bytes[64];
  if (probe[0] < 0 || from == NULL || count > sizeof(bytes)) return 0;
  ssize_t put = write(probe[1], from, count);
  if (put <= 0) return 0;
  // A read that ends at a page that is not there gives less.
  if (read(probe[0], bytes, (size_t)put) != put || (size_t)put != count) return 0;
  memcpy(to, bytes, count);
  return 1;
}

/// A flow's key in parts, however it was found.
typedef struct {
  uint64_t addresses;
  uint64_t rest;
  /// IPv6 addresses, network byte order.
  uint8_t addresses6[32];
} flow_key;

static int read_packet_key(flow_key *key, const char *packet) {
  if (packet == NULL || !read_memory(&key->addresses, packet + layout.packet_addresses, 8) ||
      !read_memory(&key->rest, packet + layout.packet_rest, 8))
    return 0;
  if (!martlet_crash_is_version6(key->rest)) return 1;
  const char *frame = NULL;
  uint32_t captured = 0, network = 0;
  // An IPv6 header has its addresses from the eighth byte on (RFC 8200).
  return read_memory(&frame, packet + layout.packet_frame, 8) &&
      read_memory(&captured, packet + layout.packet_captured, 4) &&
      read_memory(&network, packet + layout.packet_network, 4) && captured >= 40 && network <= captured - 40 &&
      read_memory(key->addresses6, frame + network + 8, 32);
}

static int read_record_key(flow_key *key, const char *record) {
  uint64_t halves[4];
  if (!read_memory(&key->addresses, record + layout.record_addresses, 8) ||
      !read_memory(&key->rest, record + layout.record_rest, 8) ||
      !read_memory(halves, record + layout.record_addresses6, 32))
    return 0;
  for (int byte = 0; byte < 32; byte++) key->addresses6[byte] = (uint8_t)(halves[byte / 8] >> (56 - 8 * (byte % 8)));
  return 1;
}

/// ", plugin tls, flow 192.0.2.1:443 > 198.51.100.2:5123 tcp": who works on what.
static void put_work(martlet_crash_line *out, const martlet_trace *trace) {
  uint32_t slot = trace->slot;
  if (slot > 0 && slot < MARTLET_TRACE_SLOTS) {
    martlet_crash_put(out, ", plugin ");
    martlet_crash_put(out, plugin_names[slot - 1][0] ? plugin_names[slot - 1] : "?");
  } else {
    martlet_crash_put(out, ", no plugin");
  }
  flow_key key;
  if (trace->record == NULL && trace->packet == NULL) {
    martlet_crash_put(out, ", no flow");
  } else if (trace->record != NULL ? read_record_key(&key, trace->record) : read_packet_key(&key, trace->packet)) {
    martlet_crash_put(out, ", flow ");
    martlet_crash_put_flow(out, key.addresses, key.rest, key.addresses6);
  } else {
    martlet_crash_put(out, ", a flow that cannot be read");
  }
}

/// Which of the frames the packet is in, from 1; 0 where that is not known.
static uint32_t place_of_packet(const martlet_trace *trace, uint32_t count) {
  const void *bytes = NULL;
  if (trace->packet == NULL || !read_memory(&bytes, (const char *)trace->packet + layout.packet_frame, 8)) return 0;
  for (uint32_t index = 0; index < count; index++) {
    martlet_crash_frame frame;
    if (!read_memory(&frame, (const martlet_crash_frame *)trace->frames + index, sizeof(frame))) return 0;
    if (frame.bytes == bytes) return index + 1;
  }
  return 0;
}

/// Writes all of `count` bytes at `offset`; 0 where that cannot be done, with errno.
static int write_at(int descriptor, const void *bytes, size_t count, off_t offset) {
  while (count > 0) {
    ssize_t written = pwrite(descriptor, bytes, count, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      if (written == 0) errno = EIO;
      return 0;
    }
    bytes = (const char *)bytes + written;
    offset += written;
    count -= (size_t)written;
  }
  return 1;
}

/// Writes the burst as a classic pcap with nanoseconds; every frame has the time of the report. Returns how many frames
/// are in it; `*failure` is the errno that kept others out, or 0. A frame that cannot be read is left out.
static uint32_t write_capture(
    int descriptor, const martlet_crash_frame *frames, uint32_t count, struct timespec now, int *failure) {
  const uint32_t header[6] = {0xA1B23C4D, 2 | 4u << 16, 0, 0, LONGEST_FRAME, atomic_load(&link_type)};
  off_t end = sizeof(header);
  uint32_t kept = 0;
  *failure = 0;
  if (!write_at(descriptor, header, sizeof(header), 0)) {
    *failure = errno;
    return 0;
  }
  for (uint32_t index = 0; index < count; index++) {
    martlet_crash_frame frame;
    if (!read_memory(&frame, frames + index, sizeof(frame)) || frame.captured > LONGEST_FRAME) {
      *failure = EFAULT;
      continue;
    }
    const uint32_t head[4] = {
        (uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, frame.captured,
        frame.wire < frame.captured ? frame.captured : frame.wire};
    // The bytes come first: a header without them would make the file unreadable.
    if (!write_at(descriptor, frame.bytes, frame.captured, end + (off_t)sizeof(head)) ||
        !write_at(descriptor, head, sizeof(head), end)) {
      *failure = errno;
      if (errno != EFAULT) break;
      continue;
    }
    end += (off_t)sizeof(head) + frame.captured;
    kept++;
  }
  if (ftruncate(descriptor, end) != 0 && *failure == 0) *failure = errno;
  return kept;
}

/// ", packet 3 of a burst of 32, written to FILE": the last burst, and its capture.
static void put_burst(martlet_crash_line *out, const martlet_trace *trace) {
  uint32_t count = trace->frames == NULL ? 0 : trace->frame_count;
  if (count == 0) return martlet_crash_put(out, ", no burst");
  if (count > MOST_FRAMES) count = MOST_FRAMES;
  uint32_t place = place_of_packet(trace, count);
  if (place > 0) {
    martlet_crash_put(out, ", packet ");
    martlet_crash_put_number(out, place, 10);
    martlet_crash_put(out, " of a burst of ");
  } else {
    martlet_crash_put(out, ", last burst of ");
  }
  martlet_crash_put_number(out, count, 10);
  if (directory_descriptor < 0) return;
  struct timespec now = {0, 0};
  clock_gettime(CLOCK_REALTIME, &now);
  martlet_crash_line name = {.length = 0};
  martlet_crash_put(&name, "martlet-crash-");
  martlet_crash_put_time(&name, now.tv_sec);
  martlet_crash_put(&name, "-");
  martlet_crash_put_number(&name, (uint64_t)getpid(), 10);
  martlet_crash_put(&name, ".pcap");
  int descriptor = openat(directory_descriptor, name.text, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
  int failure = descriptor < 0 ? errno : 0;
  uint32_t kept = descriptor < 0 ? 0 : write_capture(descriptor, trace->frames, count, now, &failure);
  if (descriptor >= 0) close(descriptor);
  if (kept == count) {
    martlet_crash_put(out, ", written to ");
  } else {
    martlet_crash_put(out, ", ");
    martlet_crash_put_number(out, kept, 10);
    martlet_crash_put(out, " of them written to ");
  }
  martlet_crash_put(out, directory_name);
  martlet_crash_put(out, "/");
  martlet_crash_put(out, name.text);
  if (failure != 0) {
    const char *text = strerrordesc_np(failure);
    martlet_crash_put(out, " (");
    martlet_crash_put(out, text ? text : "unknown error");
    martlet_crash_put(out, ")");
  }
}

static void put_signal(martlet_crash_line *out, int number, const siginfo_t *info) {
  const char *name = sigabbrev_np(number);
  martlet_crash_put(out, "SIG");
  martlet_crash_put(out, name ? name : "?");
  if (info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL) {
    if (info->si_pid != getpid()) {
      martlet_crash_put(out, " (sent by process ");
      martlet_crash_put_number(out, (uint64_t)info->si_pid, 10);
      martlet_crash_put(out, ")");
    }
  } else if ((number == SIGSEGV || number == SIGBUS) && info->si_code != SI_KERNEL) {
    martlet_crash_put(out, " (address 0x");
    martlet_crash_put_number(out, (uint64_t)(uintptr_t)info->si_addr, 16);
    martlet_crash_put(out, ")");
  }
}

static void put_thread(martlet_crash_line *out) {
  char name[17] = {0};
  if (thread_name[0]) return martlet_crash_put(out, thread_name);
  prctl(PR_GET_NAME, name);
  martlet_crash_put(out, "thread ");
  martlet_crash_put(out, name);
}

/// Writes the line where it finds room within a second: a terminal that was stopped must not keep a dead process.
static void say(const martlet_crash_line *line) {
  const char *at = line->text;
  size_t left = line->length;
  while (left > 0) {
    struct pollfd waiting = {error_descriptor, POLLOUT, 0};
    if (poll(&waiting, 1, 1000) != 1 || !(waiting.revents & POLLOUT)) return;
    ssize_t written = write(error_descriptor, at, left);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    at += written;
    left -= (size_t)written;
  }
}

static void report(int number, const siginfo_t *info) {
  const martlet_trace trace = *martlet_trace_current();
  martlet_crash_line out = {.length = 0};
  martlet_crash_put(&out, "martlet: killed by ");
  put_signal(&out, number, info);
  martlet_crash_put(&out, " on ");
  put_thread(&out);
  put_work(&out, &trace);
  put_burst(&out, &trace);
  martlet_crash_end(&out);
  say(&out);
}

/// Has a report that hangs ended by SIGALRM.
static void limit_time(void) {
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_handler = SIG_DFL;
  sigaction(SIGALRM, &action, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  alarm(LONGEST_REPORT);
}

/// Whether another process sent the signal.
static int is_foreign(const siginfo_t *info) {
  return (info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL) &&
      info->si_pid != getpid();
}

static void handle(int number, siginfo_t *info, void *context) {
  (void)context;
  int index = 0;
  while (index < SIGNAL_COUNT - 1 && signals[index] != number) index++;
  // What would do nothing without this handler: the parent had it ignored, or this is the init of a container, which
  // the kernel spares signals that it has no handler for.
  if (is_foreign(info) && (before[index].sa_handler == SIG_IGN || getpid() == 1)) return;
  if (atomic_exchange(&reporting, 1)) {
    // Another thread is at it, and the process ends with it.
    struct timespec patience = {LONGEST_REPORT, 0};
    nanosleep(&patience, NULL);
  } else {
    limit_time();
    int waiting = atomic_load(&waiting_thread);
    if (waiting != 0) syscall(SYS_tgkill, getpid(), waiting, wake_signal);
    report(number, info);
    alarm(0);
  }
  struct sigaction end;
  memset(&end, 0, sizeof(end));
  end.sa_handler = SIG_DFL;
  // What shows a backtrace returns. A fault then happens again and ends the process, but after a signal that somebody
  // sent it would go on, without its control lcore.
  sigaction(number, is_foreign(info) ? &end : &before[index], NULL);
  // The same signal again, with all that is known of it: it is pending until this returns, and then meets what was to
  // happen before, at the same instruction, so that status, core dump and backtrace are as without this handler.
  if (syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), number, info) != 0) raise(number);
}

static void free_stack(void *stack) {
  const stack_t none = {.ss_flags = SS_DISABLE};
  sigaltstack(&none, NULL);
  munmap(stack, STACK_SIZE);
}

/// Gives the thread a stack for its handlers, unless it has one.
static void make_stack(void) {
  stack_t stack;
  if (!has_stack_key || sigaltstack(NULL, &stack) != 0 || !(stack.ss_flags & SS_DISABLE)) return;
  void *memory = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return;
  stack = (stack_t){.ss_sp = memory, .ss_flags = 0, .ss_size = STACK_SIZE};
  if (sigaltstack(&stack, NULL) != 0 || pthread_setspecific(stack_key, memory) != 0) free_stack(memory);
}

void martlet_crash_install(martlet_crash_layout wanted) {
  layout = wanted;
  // Standard error itself leads into a file while EAL starts.
  int descriptor = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  if (descriptor >= 0) error_descriptor = descriptor;
  if (pipe2(probe, O_CLOEXEC | O_NONBLOCK) != 0) probe[0] = probe[1] = -1;
  has_stack_key = pthread_key_create(&stack_key, free_stack) == 0;
  martlet_crash_thread("the main thread");
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_sigaction = handle;
  // Restarting: a signal that does nothing must not cost a read.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigfillset(&action.sa_mask);
  for (int index = 0; index < SIGNAL_COUNT; index++) sigaction(signals[index], &action, &before[index]);
}

int martlet_crash_directory(const char *path) {
  int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return errno;
  if (faccessat(descriptor, ".", W_OK | X_OK, AT_EACCESS) != 0) {
    int number = errno;
    close(descriptor);
    return number;
  }
  strncpy(directory_name, path, sizeof(directory_name) - 1);
  directory_descriptor = descriptor;
  return 0;
}

void martlet_crash_plugin(uint32_t slot, const char *name) {
  if (slot < MARTLET_TRACE_SLOTS - 1) strncpy(plugin_names[slot], name, PLUGIN_NAME_SIZE - 1);
}

void martlet_crash_link_type(uint32_t number) { atomic_store(&link_type, number); }

void martlet_crash_wake(int number) {
  wake_signal = number;
  atomic_store(&waiting_thread, (int)syscall(SYS_gettid));
}

int martlet_crash_has_begun(void) { return atomic_load(&reporting); }

void martlet_crash_thread(const char *name) {
  strncpy(thread_name, name, NAME_SIZE - 1);
  make_stack();
}

void martlet_crash_lcore(uint32_t lcore, const char *role) {
  martlet_crash_line name = {.length = 0};
  martlet_crash_put(&name, "lcore ");
  martlet_crash_put_number(&name, lcore, 10);
  martlet_crash_put(&name, " (");
  martlet_crash_put(&name, role);
  martlet_crash_put(&name, ")");
  martlet_crash_thread(name.text);
}

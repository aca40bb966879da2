// The text of the report, without stdio: what is not async-signal-safe cannot be used where it is written.
#ifndef CRASHLINE_H
#define CRASHLINE_H
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/// A line under construction, always ended by a zero; what does not fit is left out.
typedef struct {
  char text[1024];
  size_t length;
} martlet_crash_line;

/// Adds text; what is no printable ASCII becomes a question mark, except for bytes above it (UTF-8).
void martlet_crash_put(martlet_crash_line *out, const char *text);
/// Adds a number, with digits of `base` up to 16.
void martlet_crash_put_number(martlet_crash_line *out, uint64_t number, unsigned base);
/// Adds a time as 20261125T221005Z.
void martlet_crash_put_time(martlet_crash_line *out, time_t seconds);
/// Whether a key's second word is that of an IPv6 flow.
int martlet_crash_is_version6(uint64_t rest);
/// Adds a flow as "192.0.2.1:443 > 198.51.100.2:5123 tcp", IPv6 addresses in brackets and as RFC 5952 wants them; ports
/// where the protocol has some. `addresses` and `rest` are the words of a key, `addresses6` both IPv6 addresses.
void martlet_crash_put_flow(martlet_crash_line *out, uint64_t addresses, uint64_t rest, const uint8_t addresses6[32]);
/// Ends the line, which then fits `text` with its newline.
void martlet_crash_end(martlet_crash_line *out);
#endif

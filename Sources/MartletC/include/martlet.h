/* libmartlet: flow records of captures as Arrow record batches, behind a small C interface (docs/libmartlet.md).
 *
 * Functions may be called by any thread, those of one run by several at once, except that nothing may be called with a
 * run after martlet_close, and that a stream belongs to one thread at a time. Texts are UTF-8 that ends with NUL. */
#ifndef MARTLET_H
#define MARTLET_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface: it grows when something is added, and nothing changes or goes away. */
#define MARTLET_API_VERSION 1

/* The Arrow C data and stream interfaces, as https://arrow.apache.org/docs/format/CDataInterface.html has them. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
  int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
  const char *(*get_last_error)(struct ArrowArrayStream *);
  void (*release)(struct ArrowArrayStream *);
  void *private_data;
};

#endif

typedef enum {
  MARTLET_OK = 0,
  MARTLET_INVALID_ARGUMENT = 1, /* an option or a value that is none */
  MARTLET_CANNOT_READ = 2,      /* a capture that cannot be opened */
  MARTLET_DAMAGED = 3,          /* a capture whose rest cannot be read */
  MARTLET_STOPPED = 4,          /* martlet_stop */
  MARTLET_INTERNAL = 5          /* no memory, or no thread */
} martlet_status;

/* An option as on the command line, without dashes: {"plugins", "pstats,tls"}, {"active-timeout", "300"}.
 *
 * As there: "plugins", "plugin" and "preset" (which may repeat), "active-timeout", "inactive-timeout", "flows",
 * "filter", "sample", "tunnels", "tunnel-records", "anonymise", and "uniflow" with "true" or "false".
 *
 * The library's own:
 *   "threads"     captures that are read at the same time (1)
 *   "batch-rows"  rows of a batch (65536)
 *   "addresses"   "text", or "binary": fixed_size_binary[4], [16] and, of MAC addresses, [6] (text)
 *   "names"       "short" as --csv-names short, "full" as the header of CSV: iana:octetDeltaCount (short)
 *   "joined"      "true": the captures in order are one time line on one thread, as on the command line; "false": each
 * by itself (false) */
typedef struct {
  const char *name;
  const char *value;
} martlet_option;

typedef struct martlet_run martlet_run;

/* MARTLET_API_VERSION of the library. */
uint32_t martlet_api_version(void);
/* The library's own version, as "0.1.0"; it stays. */
const char *martlet_version(void);

/* Opens a run over captures (paths of pcap and pcapng files; "-" is standard input).
 *
 * MARTLET_INVALID_ARGUMENT for options that mean nothing or no captures, MARTLET_CANNOT_READ where none of the captures
 * can be read; then *run is NULL and *error a text to free by martlet_free. error may be NULL. */
martlet_status martlet_open(
    const char *const *captures, size_t capture_count, const martlet_option *options, size_t option_count,
    martlet_run **run, char **error);

/* The same over a capture's octets in memory, which are copied. name is shown, and stands in source_file. */
martlet_status martlet_open_bytes(
    const void *octets, size_t count, const char *name, const martlet_option *options, size_t option_count,
    martlet_run **run, char **error);

/* The records as a stream of record batches; once for each run.
 *
 * Consuming it does the work: threads start with the first get_next. It stays valid after martlet_close; releasing it
 * ends the work. Its columns are source_file (dictionary of utf8), duration (float64, seconds), then one for each field
 * of the schema, in the order of CSV's columns; a field that a record does not have is null. Each column's metadata has
 * "element" (iana:octetDeltaCount) and "description". Rows of several captures are in one batch, with several threads
 * in any order; those of one capture stay in order. */
martlet_status martlet_stream(martlet_run *run, struct ArrowArrayStream *stream, char **error);

/* How far the work is. Octets are those of the files; of a pipe none are known. It is up to date
 * every few thousand packets. */
typedef struct {
  uint64_t octets_read, octets_in_all, packets, flows, captures_done, captures_in_all, captures_failed;
} martlet_progress;
void martlet_get_progress(const martlet_run *run, martlet_progress *progress);

/* What was wrong with captures, as JSON: [{"capture": "…", "status": 3, "message": "…", "packets": 12}, …]; free by
 * martlet_free. A damaged or unreadable capture does not end the run: its flows up to there are records. */
char *martlet_problems(const martlet_run *run);

/* The counters of the captures that were read, as one JSON object whose keys are those of --stats-format json
 * (docs/counters.md), and "batches" and "misplaced"; free by martlet_free. Complete when the stream has ended. */
char *martlet_counters(const martlet_run *run);

/* Ends the work early, from any thread. get_next then gives what is there, and after that the error ECANCELED,
 * "stopped", unless all had been read. A pipe is not waited for any longer. */
void martlet_stop(martlet_run *run);

/* Gives the run back; a stream goes on. NULL is nothing. */
void martlet_close(martlet_run *run);

/* Plugins with their options and fields as JSON; free by martlet_free:
 *   [{"name": "pstats", "summary": "…", "options": [{"name": "…", "default": …, "text": "…"}, …],
 *     "fields": [{"name": the column's short name, "element": "cesnet:packetLength", "type": "list<int16>" (Arrow's
 * words), "description": "…", "option": what brings the field, where it is not always there}, …]}, …] The basic fields
 * are the first entry, named "". */
char *martlet_plugins(void);

/* Frees a text of this library. NULL is nothing. */
void martlet_free(char *text);

#ifdef __cplusplus
}
#endif
#endif

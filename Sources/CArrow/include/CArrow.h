// The Arrow C data and stream interfaces (https://arrow.apache.org/docs/format/CDataInterface.html), whose layout is
// fixed for good, and arrays and schemas that own their memory: who gets them frees them by calling `release`, with
// nothing but libc.
#ifndef MARTLET_CARROW_H
#define MARTLET_CARROW_H
#include <stdint.h>

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

/// The most buffers that an array here has: validity, offsets, values.
enum { MARTLET_ARROW_BUFFERS = 3 };

/// Makes `array`, which owns `buffers` from here on, whatever the result; each comes from malloc or is NULL.
///
/// Its children and its dictionary are there and released: the caller makes them in their places.
///
/// - Returns: 0, or ENOMEM; then `array` is released.
int martlet_arrow_array(
    struct ArrowArray *array, int64_t length, int64_t null_count, int64_t buffer_count, void *const *buffers,
    int64_t child_count, int has_dictionary);

/// Makes `schema` with copies of the texts; `metadata` is `metadata_count` octets as the specification has them, or
/// NULL. Children and dictionary as above.
int martlet_arrow_schema(
    struct ArrowSchema *schema, const char *format, const char *name, const void *metadata, uint64_t metadata_count,
    int64_t flags, int64_t child_count, int has_dictionary);

#endif

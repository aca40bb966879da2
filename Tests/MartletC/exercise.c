// Uses libmartlet in all the ways that a consumer may, for AddressSanitizer to watch: exercise CAPTURE…
#include <errno.h>
#include <martlet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "line %d: %s is not so\n", __LINE__, #condition);                                                \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

static martlet_run *open_run(int count, char **captures, const martlet_option *options, size_t option_count) {
  martlet_run *run = NULL;
  char *error = NULL;
  martlet_status status = martlet_open(
      (const char *const *)captures, (size_t)count, options, option_count, &run, &error);
  if (status != MARTLET_OK) fprintf(stderr, "%s\n", error);
  CHECK(status == MARTLET_OK && run != NULL && error == NULL);
  return run;
}

// Reads every octet that an array says it has.
static uint64_t sum(const struct ArrowSchema *schema, const struct ArrowArray *array) {
  uint64_t total = 0;
  int64_t rows = array->length;
  const uint8_t *validity = array->buffers[0];
  for (int64_t row = 0; validity != NULL && row < (rows + 7) / 8; row++) total += validity[row];
  CHECK(array->offset == 0 && array->null_count >= 0 && array->null_count <= rows);
  size_t width = 0;
  switch (schema->format[0]) {
    case '+':
      if (schema->format[1] == 's') {
        CHECK(schema->n_children == array->n_children);
        for (int64_t child = 0; child < array->n_children; child++) {
          CHECK(array->children[child]->length == rows);
          total += sum(schema->children[child], array->children[child]);
        }
      } else {
        const int32_t *offsets = array->buffers[1];
        CHECK(offsets[0] == 0 && offsets[rows] == array->children[0]->length);
        total += sum(schema->children[0], array->children[0]);
      }
      return total;
    case 'u':
    case 'z': {
      const int32_t *offsets = array->buffers[1];
      const uint8_t *octets = array->buffers[2];
      CHECK(offsets[0] == 0);
      for (int64_t row = 0; row < rows; row++) CHECK(offsets[row] <= offsets[row + 1]);
      for (int32_t place = 0; place < offsets[rows]; place++) total += octets[place];
      return total;
    }
    case 'c':
    case 'C': width = 1; break;
    case 's':
    case 'S': width = 2; break;
    case 'i':
    case 'I':
    case 'f': width = 4; break;
    case 'l':
    case 'L':
    case 'g':
    case 't': width = 8; break;
    case 'w': width = (size_t)atoi(schema->format + 2); break;
    default: CHECK(0);
  }
  const uint8_t *values = array->buffers[1];
  for (size_t place = 0; place < width * (size_t)rows; place++) total += values[place];
  if (schema->dictionary != NULL) {
    const int32_t *numbers = array->buffers[1];
    for (int64_t row = 0; row < rows; row++) CHECK(numbers[row] == 0 || numbers[row] < array->dictionary->length);
    total += sum(schema->dictionary, array->dictionary);
  }
  return total;
}

// Takes a whole stream.
static int64_t consume(struct ArrowArrayStream *stream) {
  struct ArrowSchema schema;
  CHECK(stream->get_schema(stream, &schema) == 0);
  int64_t rows = 0;
  struct ArrowArray array;
  for (;;) {
    CHECK(stream->get_next(stream, &array) == 0);
    if (array.release == NULL) break;
    sum(&schema, &array);
    rows += array.length;
    array.release(&array);
    CHECK(array.release == NULL);
  }
  // The end stays the end.
  CHECK(stream->get_next(stream, &array) == 0 && array.release == NULL);
  schema.release(&schema);
  return rows;
}

static void *stop_it(void *run) {
  martlet_stop(run);
  return NULL;
}

int main(int count, char **arguments) {
  int captures = count - 1;
  char **names = arguments + 1;
  CHECK(martlet_api_version() == MARTLET_API_VERSION);

  // Everything, by one thread and by several, as text and as octets.
  int64_t rows = -1;
  for (int threads = 1; threads <= 4; threads += 3) {
    char number[2] = {(char)('0' + threads), 0};
    martlet_option options[] = {
        {"plugins", "all"}, {"threads", number}, {"batch-rows", "97"}, {"addresses", threads == 1 ? "text" : "binary"}};
    martlet_run *run = open_run(captures, names, options, 4);
    struct ArrowArrayStream stream;
    CHECK(martlet_stream(run, &stream, NULL) == MARTLET_OK);
    int64_t found = consume(&stream);
    CHECK(rows < 0 || found == rows);
    rows = found;
    stream.release(&stream);
    CHECK(stream.release == NULL);
    char *problems = martlet_problems(run), *counters = martlet_counters(run);
    CHECK(strstr(problems, "\"status\": 3") != NULL && strstr(problems, "\"status\": 2") != NULL);
    martlet_free(problems);
    martlet_free(counters);
    martlet_close(run);
  }
  CHECK(rows > 0);

  // A child and a dictionary that are moved away live on; the run is closed first.
  {
    martlet_option options[] = {{"plugins", "pstats,tls"}, {"batch-rows", "10"}};
    martlet_run *run = open_run(captures, names, options, 2);
    struct ArrowArrayStream stream;
    CHECK(martlet_stream(run, &stream, NULL) == MARTLET_OK);
    char *error = NULL;
    struct ArrowArrayStream second;
    CHECK(martlet_stream(run, &second, &error) == MARTLET_INVALID_ARGUMENT && error != NULL);
    martlet_free(error);
    martlet_close(run);
    struct ArrowSchema schema;
    struct ArrowArray array;
    CHECK(stream.get_schema(&stream, &schema) == 0 && stream.get_next(&stream, &array) == 0);
    struct ArrowArray moved = *array.children[0];
    array.children[0]->release = NULL;
    struct ArrowSchema moved_schema = *schema.children[0];
    schema.children[0]->release = NULL;
    array.release(&array);
    schema.release(&schema);
    sum(&moved_schema, &moved);
    moved.release(&moved);
    moved_schema.release(&moved_schema);
    // The rest is dropped while threads work on it.
    stream.release(&stream);
  }

  // Stopped by another thread, at any moment.
  for (int round = 0; round < 20; round++) {
    martlet_option options[] = {{"plugins", "all"}, {"threads", "3"}, {"batch-rows", "5"}};
    martlet_run *run = open_run(captures, names, options, 3);
    struct ArrowArrayStream stream;
    CHECK(martlet_stream(run, &stream, NULL) == MARTLET_OK);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, stop_it, run) == 0);
    struct ArrowArray array;
    int status;
    while ((status = stream.get_next(&stream, &array)) == 0 && array.release != NULL) array.release(&array);
    CHECK(status == 0 || (status == ECANCELED && strcmp(stream.get_last_error(&stream), "stopped") == 0));
    martlet_progress progress;
    martlet_get_progress(run, &progress);
    CHECK(progress.captures_in_all == (uint64_t)captures);
    pthread_join(thread, NULL);
    stream.release(&stream);
    martlet_close(run);
  }

  // A run without a stream, one whose stream nobody asks, and what is refused.
  martlet_close(open_run(captures, names, NULL, 0));
  {
    martlet_run *run = open_run(captures, names, NULL, 0);
    struct ArrowArrayStream stream;
    CHECK(martlet_stream(run, &stream, NULL) == MARTLET_OK);
    stream.release(&stream);
    martlet_close(run);
    martlet_option wrong[] = {{"color", "blue"}};
    char *error = NULL;
    CHECK(martlet_open((const char *const *)names, 1, wrong, 1, &run, &error) == MARTLET_INVALID_ARGUMENT);
    CHECK(run == NULL && error != NULL);
    martlet_free(error);
    CHECK(martlet_open_bytes("no capture", 10, "nothing", NULL, 0, &run, &error) == MARTLET_CANNOT_READ && run == NULL);
    martlet_free(error);
    CHECK(martlet_open(NULL, 3, NULL, 0, &run, NULL) == MARTLET_INVALID_ARGUMENT && run == NULL);
    martlet_close(NULL);
    martlet_free(NULL);
    char *plugins = martlet_plugins();
    CHECK(strstr(plugins, "\"pstats\"") != NULL);
    martlet_free(plugins);
  }
  printf("all is well: %lld rows\n", (long long)rows);
  return 0;
}

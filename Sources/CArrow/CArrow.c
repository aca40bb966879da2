// Arrays and schemas of the Arrow C data interface that own their memory. In C, so that a consumer may release them on
// any thread, also while the process ends.
#include "CArrow.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// What an array owns besides its children.
struct owned_array {
  const void *buffers[MARTLET_ARROW_BUFFERS];
};

// A consumer may have moved a child away: then it is released here, and its owner's elsewhere.
static void release_array(struct ArrowArray *array) {
  for (int64_t index = 0; index < array->n_children; index++) {
    struct ArrowArray *child = array->children[index];
    if (child != NULL && child->release != NULL) child->release(child);
    free(child);
  }
  free(array->children);
  if (array->dictionary != NULL) {
    if (array->dictionary->release != NULL) array->dictionary->release(array->dictionary);
    free(array->dictionary);
  }
  struct owned_array *owned = array->private_data;
  if (owned != NULL) {
    for (int index = 0; index < MARTLET_ARROW_BUFFERS; index++) free((void *)owned->buffers[index]);
    free(owned);
  }
  array->release = NULL;
}

int martlet_arrow_array(
    struct ArrowArray *array, int64_t length, int64_t null_count, int64_t buffer_count, void *const *buffers,
    int64_t child_count, int has_dictionary) {
  memset(array, 0, sizeof *array);
  struct owned_array *owned = calloc(1, sizeof *owned);
  if (owned == NULL) {
    for (int64_t index = 0; index < buffer_count; index++) free(buffers[index]);
    return ENOMEM;
  }
  for (int64_t index = 0; index < buffer_count; index++) owned->buffers[index] = buffers[index];
  array->length = length;
  array->null_count = null_count;
  array->n_buffers = buffer_count;
  array->buffers = owned->buffers;
  array->private_data = owned;
  array->release = release_array;
  if (child_count > 0) {
    array->children = calloc((size_t)child_count, sizeof *array->children);
    if (array->children == NULL) goto failed;
    for (; array->n_children < child_count; array->n_children++) {
      struct ArrowArray *child = calloc(1, sizeof *child);
      if (child == NULL) goto failed;
      array->children[array->n_children] = child;
    }
  }
  if (has_dictionary) {
    array->dictionary = calloc(1, sizeof *array->dictionary);
    if (array->dictionary == NULL) goto failed;
  }
  return 0;
failed:
  release_array(array);
  return ENOMEM;
}

static void release_schema(struct ArrowSchema *schema) {
  for (int64_t index = 0; index < schema->n_children; index++) {
    struct ArrowSchema *child = schema->children[index];
    if (child != NULL && child->release != NULL) child->release(child);
    free(child);
  }
  free(schema->children);
  if (schema->dictionary != NULL) {
    if (schema->dictionary->release != NULL) schema->dictionary->release(schema->dictionary);
    free(schema->dictionary);
  }
  free((void *)schema->format);
  free((void *)schema->name);
  free((void *)schema->metadata);
  schema->release = NULL;
}

int martlet_arrow_schema(
    struct ArrowSchema *schema, const char *format, const char *name, const void *metadata, uint64_t metadata_count,
    int64_t flags, int64_t child_count, int has_dictionary) {
  memset(schema, 0, sizeof *schema);
  schema->flags = flags;
  schema->release = release_schema;
  schema->format = strdup(format);
  schema->name = strdup(name);
  if (schema->format == NULL || schema->name == NULL) goto failed;
  if (metadata != NULL) {
    char *copy = malloc(metadata_count);
    if (copy == NULL) goto failed;
    memcpy(copy, metadata, metadata_count);
    schema->metadata = copy;
  }
  if (child_count > 0) {
    schema->children = calloc((size_t)child_count, sizeof *schema->children);
    if (schema->children == NULL) goto failed;
    for (; schema->n_children < child_count; schema->n_children++) {
      struct ArrowSchema *child = calloc(1, sizeof *child);
      if (child == NULL) goto failed;
      schema->children[schema->n_children] = child;
    }
  }
  if (has_dictionary) {
    schema->dictionary = calloc(1, sizeof *schema->dictionary);
    if (schema->dictionary == NULL) goto failed;
  }
  return 0;
failed:
  release_schema(schema);
  return ENOMEM;
}

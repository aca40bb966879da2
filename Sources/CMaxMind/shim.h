// libmaxminddb, and what Swift's importer does not take of it: a union with a 128-bit member.
#include <maxminddb.h>
#include <sys/syscall.h>
#include <unistd.h>

/// A file in memory, which nobody else can cut off; -1 with errno set.
static inline int martlet_memory_file(const char *name) { return (int)syscall(SYS_memfd_create, name, 1U); }

/// A value of a database, of the types that are asked for.
struct martlet_mmdb_value {
  uint32_t type; ///< MMDB_DATA_TYPE_…; 0 where the entry has no such value
  uint32_t size; ///< of a text in octets
  uint64_t number;
  const char *text;
};
/// The value at the end of a path; 0, or an error of the library. A path that leads nowhere is MMDB_SUCCESS, type 0.
static inline int martlet_mmdb_get(
    const MMDB_lookup_result_s *result, const char *const *path, struct martlet_mmdb_value *value) {
  MMDB_entry_s entry = result->entry;
  MMDB_entry_data_s data;
  value->type = 0;
  int status = MMDB_aget_value(&entry, &data, path);
  if (status == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR) return MMDB_SUCCESS;
  if (status != MMDB_SUCCESS || !data.has_data) return status;
  value->type = data.type;
  value->size = data.data_size;
  if (data.type == MMDB_DATA_TYPE_UTF8_STRING) value->text = data.utf8_string;
  if (data.type == MMDB_DATA_TYPE_UINT16) value->number = data.uint16;
  if (data.type == MMDB_DATA_TYPE_UINT32) value->number = data.uint32;
  return status;
}

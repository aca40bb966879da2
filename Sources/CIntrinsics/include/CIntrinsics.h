// The few machine instructions that Swift has no name for: prefetch, SIMD signature match, the time
// stamp counter; and what a thread is working on, which Swift has no thread-local variables for.
#ifndef CINTRINSICS_H
#define CINTRINSICS_H
#include <stdint.h>
#include <immintrin.h>

// What this thread is working on.

/// What a thread that handles packets or records is at: whose mistake it is when it reads outside of its bytes, and
/// what a process that is killed says last (CCrash). The pointers are only compared and read by who expects them to be
/// wrong.
typedef struct {
  /// 1 + the slot of the plugin that runs; 0 for the engine itself.
  uint32_t slot;
  /// How many frames there are at `frames`.
  uint32_t frame_count;
  /// MARTLET_TRACE_SLOTS counters of parser faults, index `slot`; NULL before the first burst.
  uint64_t *faults;
  /// The last burst: FlowCore's `Frame`s. They stay named when the burst is done.
  const void *frames;
  /// FlowCore's `Packet` that is being counted; NULL where there is none.
  const void *packet;
  /// FlowCore's `FlowRecord` that is being ended, exported or given back; NULL where there is none.
  const void *record;
} martlet_trace;

/// The engine itself and at most 33 plugins.
enum { MARTLET_TRACE_SLOTS = 34 };

extern _Thread_local martlet_trace martlet_trace_here __attribute__((tls_model("initial-exec")));

/// Says which plugin runs: 1 + its slot, 0 for none.
static inline void martlet_trace_slot(uint32_t slot) { martlet_trace_here.slot = slot; }
/// Says where this thread's faults are counted.
static inline void martlet_trace_faults(uint64_t *faults) { martlet_trace_here.faults = faults; }
/// Says which frames this thread works on next.
static inline void martlet_trace_burst(const void *frames, uint32_t count) {
  martlet_trace_here.frames = frames;
  martlet_trace_here.frame_count = count;
}
/// Says that the frames named last are no longer as they were.
static inline void martlet_trace_no_burst(void) { martlet_trace_here.frame_count = 0; }
/// Says which packet is being counted.
static inline void martlet_trace_packet(const void *packet) { martlet_trace_here.packet = packet; }
/// Says which record is being ended, exported or given back.
static inline void martlet_trace_record(const void *record) { martlet_trace_here.record = record; }
/// This thread's trace.
static inline martlet_trace *martlet_trace_current(void) { return &martlet_trace_here; }

/// Counts a read or write outside of its bytes for the plugin that runs. Not inlined: it is a parser's mistake.
void martlet_note_fault(void) __attribute__((cold, noinline));

/// As many zero bytes as any plugin's state may have: what is read in place of what is not there.
enum { MARTLET_ZEROS = 4096 };
extern const uint8_t martlet_zero_bytes[MARTLET_ZEROS];
static inline const void *martlet_zeros(void) { return martlet_zero_bytes; }

/// The word at `address` (8-byte aligned), which another thread may be writing: as it was at one moment.
static inline uint64_t martlet_peek(const void *address) {
  return __atomic_load_n((const uint64_t *)address, __ATOMIC_RELAXED);
}

/// Prefetches the cache line at `address` for reading and writing; never faults.
static inline void martlet_prefetch(const void *address) { __builtin_prefetch(address, 1, 3); }

/// A bit for each of the eight 16-bit `signatures` (16-byte aligned) that equals `signature`: bit i is lane i.
static inline uint32_t martlet_match_signatures(const void *signatures, uint16_t signature) {
  __m128i lanes = _mm_load_si128((const __m128i *)signatures);
  __m128i equal = _mm_cmpeq_epi16(lanes, _mm_set1_epi16((short)signature));
  return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
}

/// The lowest bits of the eight 16-bit words at byte 48 of a bucket, lane 0 in bit 0. `bucket` is 64-byte aligned.
static inline uint32_t martlet_low_bits(const void *bucket) {
  __m128i raised = _mm_slli_epi16(_mm_load_si128((const __m128i *)bucket + 3), 15);
  return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(raised, _mm_setzero_si128()));
}

/// All ones in each of the eight 16-bit lanes of a bucket that is free (signature 0).
static inline __m128i martlet_free_lanes(const __m128i *bucket) {
  return _mm_cmpeq_epi16(_mm_load_si128(bucket), _mm_setzero_si128());
}

/// A bit for each of the 32 places of a group (four buckets of 64 bytes, 64-byte aligned) that is in use: bit 8 b + l
/// is lane l of bucket b.
static inline uint32_t martlet_group_occupied(const void *group) {
  uint32_t lanes = 0;
  for (int bucket = 0; bucket < 4; bucket += 2) {
    const __m128i *line = (const __m128i *)group + 4 * bucket;
    __m128i both = _mm_packs_epi16(martlet_free_lanes(line), martlet_free_lanes(line + 4));
    lanes |= (uint32_t)(0xFFFF & ~_mm_movemask_epi8(both)) << 8 * bucket;
  }
  return lanes;
}

/// The same for the places that are in use and whose 16-bit `due` (at byte 48 of the bucket) is not after `tick`,
/// modulo 2^16.
static inline uint32_t martlet_group_due(const void *group, uint16_t tick) {
  const __m128i now = _mm_set1_epi16((short)tick);
  uint32_t lanes = 0;
  for (int bucket = 0; bucket < 4; bucket++) {
    const __m128i *line = (const __m128i *)group + 4 * bucket;
    __m128i ahead = _mm_cmpgt_epi16(_mm_sub_epi16(_mm_load_si128(line + 3), now), _mm_setzero_si128());
    __m128i waiting = _mm_packs_epi16(_mm_or_si128(martlet_free_lanes(line), ahead), _mm_setzero_si128());
    lanes |= (uint32_t)(0xFF & ~_mm_movemask_epi8(waiting)) << 8 * bucket;
  }
  return lanes;
}

/// The lowest 16-bit `due` of a group's places that are in use, less `tick`, as a signed number; `farthest` where that
/// is less. The lowest bits of `due` are not looked at, and `tick` is even.
static inline int16_t martlet_group_earliest(const void *group, uint16_t tick, int16_t farthest) {
  const __m128i now = _mm_set1_epi16((short)tick);
  const __m128i none = _mm_set1_epi16(farthest);
  __m128i earliest = none;
  for (int bucket = 0; bucket < 4; bucket++) {
    const __m128i *line = (const __m128i *)group + 4 * bucket;
    __m128i due = _mm_and_si128(_mm_load_si128(line + 3), _mm_set1_epi16(-2));
    __m128i rest = _mm_sub_epi16(due, now);
    earliest = _mm_min_epi16(earliest, _mm_blendv_epi8(rest, none, martlet_free_lanes(line)));
  }
  // The instruction for the lowest of eight knows no signs.
  const __m128i sign = _mm_set1_epi16(INT16_MIN);
  __m128i lowest = _mm_xor_si128(_mm_minpos_epu16(_mm_xor_si128(earliest, sign)), sign);
  return (int16_t)_mm_extract_epi16(lowest, 0);
}

/// How many of the first `count` 16-bit `ticks` are after `tick`, modulo 2^16, before the first that is not. Reads
/// whole groups of eight: behind `count` there must be room for seven more.
static inline uint32_t martlet_count_waiting(const uint16_t *ticks, uint32_t count, uint16_t tick) {
  const __m128i now = _mm_set1_epi16((short)tick);
  for (uint32_t start = 0; start < count; start += 8) {
    __m128i rest = _mm_sub_epi16(_mm_loadu_si128((const __m128i *)(ticks + start)), now);
    uint32_t due = 0xFFFF ^ (uint32_t)_mm_movemask_epi8(_mm_cmpgt_epi16(rest, _mm_setzero_si128()));
    if (due != 0) {
      uint32_t first = start + (uint32_t)__builtin_ctz(due) / 2;
      return first < count ? first : count;
    }
  }
  return count;
}

/// The number of the lowest bit that is set in `bits`, which are not 0.
static inline uint32_t martlet_lowest_bit(uint64_t bits) { return (uint32_t)__builtin_ctzll(bits); }

/// A bit for each of sixteen bytes that is `one` or `other`.
static inline uint32_t martlet_match_bytes(__m128i bytes, uint8_t one, uint8_t other) {
  __m128i first = _mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)one));
  __m128i second = _mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)other));
  return (uint32_t)_mm_movemask_epi8(_mm_or_si128(first, second));
}

/// Where the first of `count` bytes lies that is `one` or `other`; `count` where none is. Reads these bytes only.
static inline int64_t martlet_index_of(const void *bytes, int64_t count, uint8_t one, uint8_t other) {
  const uint8_t *start = (const uint8_t *)bytes;
  if (count < 8) {
    for (int64_t index = 0; index < count; index++)
      if (start[index] == one || start[index] == other) return index;
    return count;
  }
  if (count < 16) {
    // The first eight and the last eight, which may overlap.
    __m128i low = _mm_loadl_epi64((const __m128i *)start);
    __m128i high = _mm_loadl_epi64((const __m128i *)(start + count - 8));
    uint32_t found = martlet_match_bytes(_mm_unpacklo_epi64(low, high), one, other);
    if (found == 0) return count;
    int64_t index = __builtin_ctz(found);
    return index < 8 ? index : count - 16 + index;
  }
  int64_t index = 0;
  for (; index + 16 <= count; index += 16) {
    uint32_t found = martlet_match_bytes(_mm_loadu_si128((const __m128i *)(start + index)), one, other);
    if (found != 0) return index + __builtin_ctz(found);
  }
  if (index == count) return count;
  // The last sixteen: those that were looked at before are neither.
  uint32_t found = martlet_match_bytes(_mm_loadu_si128((const __m128i *)(start + count - 16)), one, other);
  return found != 0 ? count - 16 + __builtin_ctz(found) : count;
}

/// Eight bytes with small letters in place of capitals.
static inline uint64_t martlet_lowercase(uint64_t bytes) {
  const uint64_t ones = 0x0101010101010101;
  uint64_t low = bytes & 0x7F * ones;
  // The highest bit of each byte: whether it is A or more, less whether it is more than Z; bytes from 128 on are
  // neither.
  uint64_t capital = (low + (128 - 'A') * ones) & ~(low + (127 - 'Z') * ones) & ~bytes & 128 * ones;
  return bytes | capital >> 2;
}

/// The CRC32C (RFC 9260 appendix A) of `count` bytes behind those that had `crc`; 0 for the first ones.
static inline uint32_t martlet_crc32c(uint32_t crc, const void *bytes, uint64_t count) {
  const uint8_t *next = (const uint8_t *)bytes;
  uint64_t rest = ~crc;
  for (; count >= 8; count -= 8, next += 8) {
    uint64_t word;
    __builtin_memcpy(&word, next, 8);
    rest = _mm_crc32_u64(rest, word);
  }
  for (; count > 0; count--, next++) rest = _mm_crc32_u8((uint32_t)rest, *next);
  return ~(uint32_t)rest;
}

/// The time stamp counter, not serialising.
static inline uint64_t martlet_cycles(void) { return __builtin_ia32_rdtsc(); }
#endif

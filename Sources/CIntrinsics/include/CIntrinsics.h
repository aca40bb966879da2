// The few machine instructions that Swift has no name for: prefetch, SIMD signature match, the time
// stamp counter, a 64x64 multiply that keeps all 128 bits. Header only, so that they inline.
#ifndef CINTRINSICS_H
#define CINTRINSICS_H
#include <stdint.h>
#include <immintrin.h>

/// Asks for the cache line at `address` for reading and writing; never faults.
static inline void martlet_prefetch(const void *address) { __builtin_prefetch(address, 1, 3); }

/// A bit for each of the eight 16-bit `signatures` (16-byte aligned) that equals `signature`: bit i is lane i.
static inline uint32_t martlet_match_signatures(const void *signatures, uint16_t signature) {
  __m128i lanes = _mm_load_si128((const __m128i *)signatures);
  __m128i equal = _mm_cmpeq_epi16(lanes, _mm_set1_epi16((short)signature));
  return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
}

/// The time stamp counter, not serialising.
static inline uint64_t martlet_cycles(void) { return __builtin_ia32_rdtsc(); }
#endif

// The passes of Martlet's engine in plain C, for the benchmark alone: what the Swift engine is measured against.
#ifndef CENGINE_H
#define CENGINE_H
#include <stdint.h>

typedef struct c_engine c_engine;

/// The same layout as FlowCore's Frame.
typedef struct {
  const void *bytes;
  uint32_t captured;
  uint32_t wire;
} c_frame;

/// A table for `flows` flows; NULL when there is no memory.
c_engine *c_engine_make(uint64_t flows, uint64_t inactive, uint64_t active, uint64_t seed);
void c_engine_free(c_engine *engine);
/// One burst of at most 32 frames received at `now`, and the sweep that is due; returns the number of ended records.
uint32_t c_engine_process(c_engine *engine, const c_frame *frames, uint32_t count, uint64_t now);
/// Takes back the records that the last call ended.
void c_engine_recycle(c_engine *engine);
/// Flows made and packets counted in ended or present flows, to compare with the Swift engine's.
uint64_t c_engine_flows_made(const c_engine *engine);
uint64_t c_engine_discarded(const c_engine *engine);
uint64_t c_engine_ended(const c_engine *engine, uint32_t reason);
#endif

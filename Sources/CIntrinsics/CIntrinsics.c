#include "CIntrinsics.h"

_Thread_local martlet_trace martlet_trace_here;
const uint8_t martlet_zero_bytes[MARTLET_ZEROS];

void martlet_note_fault(void) {
  martlet_trace *trace = &martlet_trace_here;
  if (trace->faults == NULL || trace->slot >= MARTLET_TRACE_SLOTS) return;
  if (trace->faults[trace->slot] != UINT64_MAX) trace->faults[trace->slot] += 1;
}

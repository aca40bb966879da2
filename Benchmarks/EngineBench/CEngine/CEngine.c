// A plain C flow engine with the same table, hash, record and passes as Sources/FlowCore/Engine: no plugins, Ethernet
// with IPv4 without options and TCP or UDP only. Written as one would write it by hand for DPDK.
#include "CEngine.h"
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BURST = 32, WAYS = 8, GROUP = 4, HANDFUL = 8, OUTBOX = 1024, TICK_SHIFT = 27, FARTHEST = 0x3000 };
enum { LAGGING = 1, GUEST = 2, MOST_GUESTS = 255 };
static const uint64_t SWEEP_PERIOD = 500000000;

typedef struct {
  uint64_t addresses, rest;
} flow_key;

typedef struct {
  flow_key key;
  uint64_t last, first;
  uint32_t packets[2];
  uint64_t octets[2];
  uint8_t flags[2], marks, end_reason;
  uint32_t interest;
  uint64_t source_high, source_low, destination_high, destination_low;
  uint64_t source_mac, destination_mac;
  uint32_t index, blocks, presence, lag;
} record;
_Static_assert(sizeof(record) == 128, "two cache lines");

typedef struct {
  uint16_t signature[WAYS];
  uint32_t index[WAYS];
  uint16_t due[WAYS];
} bucket;
_Static_assert(sizeof(bucket) == 64, "one cache line");

typedef struct {
  flow_key key;
  uint64_t hash, time;
  uint32_t octets, candidate;
  uint8_t flags, mac;
  uint32_t mpls;
  const uint8_t *frame;
  uint32_t captured, wire, link, network, transport, payload, payload_length, payload_captured;
} packet;

struct c_engine {
  bucket *buckets;
  record *records;
  uint32_t *free_list;
  uint16_t *earliest;
  uint64_t group_count, bucket_count, free_count, count, limit, capacity;
  uint64_t inactive, active, secrets[4];
  uint64_t sweep_step, sweep_delay, swept_to, sweep_group, sweep_blind, hand;
  uint64_t packets_seen, bytes_seen, discarded, table_full, flows_made, ended[6], ended_packets;
  uint32_t finished;
  record *outbox[OUTBOX];
  packet packets[BURST];
};

static void *map(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

c_engine *c_engine_make(uint64_t flows, uint64_t inactive, uint64_t active, uint64_t seed) {
  c_engine *e = calloc(1, sizeof(c_engine));
  e->limit = flows;
  e->capacity = flows + 8192 + OUTBOX;
  e->group_count = (flows + 7) / 8 < 2 ? 2 : (flows + 7) / 8;
  e->bucket_count = e->group_count * GROUP;
  e->buckets = map(e->bucket_count * sizeof(bucket));
  e->records = map((e->capacity + 1) * sizeof(record));
  e->free_list = map(e->capacity * 4);
  e->earliest = map((e->group_count + 8) * 2);
  if (!e->buckets || !e->records || !e->free_list || !e->earliest) {
    c_engine_free(e);
    return NULL;
  }
  for (uint64_t i = 0; i < e->capacity; i++) e->free_list[i] = (uint32_t)(e->capacity - i);
  e->free_count = e->capacity;
  e->inactive = inactive;
  e->active = active;
  for (int i = 0; i < 4; i++) {
    seed += 0x9E3779B97F4A7C15;
    uint64_t w = seed;
    w = (w ^ w >> 30) * 0xBF58476D1CE4E5B9;
    w = (w ^ w >> 27) * 0x94D049BB133111EB;
    e->secrets[i] = w ^ w >> 31;
  }
  e->secrets[0] |= 1;
  e->secrets[3] |= 1;
  e->sweep_step = (SWEEP_PERIOD << 20) / e->group_count;
  e->sweep_delay = e->sweep_step * (e->group_count >= 512 ? 8 : 1) >> 20;
  e->sweep_blind = e->group_count;
  return e;
}

void c_engine_free(c_engine *e) {
  if (e->buckets) munmap(e->buckets, e->bucket_count * sizeof(bucket));
  if (e->records) munmap(e->records, (e->capacity + 1) * sizeof(record));
  if (e->free_list) munmap(e->free_list, e->capacity * 4);
  if (e->earliest) munmap(e->earliest, (e->group_count + 8) * 2);
  free(e);
}

uint64_t c_engine_flows_made(const c_engine *e) { return e->flows_made; }
uint64_t c_engine_discarded(const c_engine *e) { return e->discarded; }
uint64_t c_engine_ended(const c_engine *e, uint32_t reason) { return e->ended[reason]; }

static inline uint16_t load16(const uint8_t *p) {
  uint16_t v;
  memcpy(&v, p, 2);
  return __builtin_bswap16(v);
}
static inline uint32_t load32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return __builtin_bswap32(v);
}
static inline uint64_t load64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, 8);
  return __builtin_bswap64(v);
}

static inline uint64_t hash_key(const c_engine *e, flow_key key) {
  uint64_t source = (key.addresses >> 32) << 16 | key.rest >> 48;
  uint64_t destination = (key.addresses << 32) >> 16 | ((key.rest >> 32) & 0xFFFF);
  uint64_t low = source < destination ? source : destination;
  uint64_t high = source < destination ? destination : source;
  unsigned __int128 product = (unsigned __int128)(low ^ e->secrets[0] ^ (key.rest << 32 & 0xFFFF000000000000)) *
      (high ^ e->secrets[1] ^ key.rest << 48);
  product = (unsigned __int128)((uint64_t)(product >> 64) ^ (uint64_t)product ^ e->secrets[2]) * e->secrets[3];
  return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

static inline bucket *bucket_of(c_engine *e, uint64_t hash) {
  return e->buckets + ((hash >> 32) * e->bucket_count >> 32);
}

/// A bucket in which flows of a full one are guests: four of one group.
static inline bucket *guest_bucket(c_engine *e, uint64_t hash, uint64_t step) {
  uint64_t start = (hash & 0xFFFFFFFF) * e->bucket_count >> 32;
  return e->buckets + ((start & ~3ull) | ((start + step) & 3));
}

/// How many of the bucket's flows are guests elsewhere: the lowest bits of `due`.
static inline uint32_t guests(const bucket *b) {
  __m128i raised = _mm_slli_epi16(_mm_load_si128((const __m128i *)b->due), 15);
  return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(raised, _mm_setzero_si128()));
}

static void set_guests(bucket *b, uint32_t number) {
  for (int i = 0; i < WAYS; i++) b->due[i] = (uint16_t)((b->due[i] & ~1) | (number >> i & 1));
}

static inline uint16_t signature_of(uint64_t hash) { return (uint16_t)hash ? (uint16_t)hash : 1; }

static inline uint32_t matches(const bucket *b, uint16_t signature) {
  __m128i equal = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)b->signature), _mm_set1_epi16((short)signature));
  return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
}

static inline uint32_t due_lanes(const bucket *b, uint16_t tick) {
  __m128i zero = _mm_setzero_si128();
  __m128i free_lanes = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)b->signature), zero);
  __m128i ahead = _mm_cmpgt_epi16(
      _mm_sub_epi16(_mm_load_si128((const __m128i *)b->due), _mm_set1_epi16((short)tick)), zero);
  return ~(uint32_t)_mm_movemask_epi8(_mm_packs_epi16(_mm_or_si128(free_lanes, ahead), zero)) & 0xFF;
}

static inline int dissect(c_engine *e, const c_frame *frame, uint64_t now, packet *p) {
  const uint8_t *b = frame->bytes;
  if (frame->captured < 54 || load32(b + 12) >> 8 != 0x080045) return 0;
  uint16_t fragment = load16(b + 20);
  if (fragment & 0x3FFF) return 0;
  uint32_t total = load16(b + 16), headers;
  uint8_t protocol = b[23];
  if (protocol == 6) {
    uint16_t word = load16(b + 46);
    uint32_t words = word >> 12;
    if (words != 5 && (words != 8 || frame->captured < 66 || load32(b + 54) != 0x0101080A)) return 0;
    p->flags = (uint8_t)word;
    headers = 20 + words * 4;
  } else if (protocol == 17) {
    p->flags = 0;
    headers = 28;
  } else {
    return 0;
  }
  p->time = now;
  p->frame = b;
  p->captured = frame->captured;
  p->wire = frame->wire;
  p->mpls = 0;
  p->link = 0;
  p->mac = 1;
  p->octets = total;
  p->network = 14;
  p->transport = 34;
  p->payload = 14 + headers;
  uint32_t length = total > headers ? total - headers : 0;
  p->payload_length = length;
  uint32_t captured = frame->captured - p->payload;
  p->payload_captured = length < captured ? length : captured;
  p->key.addresses = load64(b + 26);
  p->key.rest = (uint64_t)load32(b + 34) << 32 | (uint64_t)protocol << 8;
  p->hash = hash_key(e, p->key);
  return 1;
}

static inline flow_key reversed(flow_key key) {
  uint32_t ports = (uint32_t)(key.rest >> 32);
  return (flow_key){
      key.addresses << 32 | key.addresses >> 32, (uint64_t)(ports << 16 | ports >> 16) << 32 | (key.rest & 0xFFFFFFFF)};
}

static inline uint64_t difference(flow_key a, flow_key b) { return (a.addresses ^ b.addresses) | (a.rest ^ b.rest); }

/// 0 forward, 1 reverse, -1 another flow; as in Swift, no branch depends on the direction.
static inline int direction(const packet *p, const record *r) {
  uint64_t forward = difference(r->key, p->key), reverse = difference(r->key, reversed(p->key));
  return (forward < reverse ? forward : reverse) != 0 ? -1 : forward != 0;
}

static inline uint64_t deadline(const c_engine *e, const record *r) {
  uint64_t idle = r->last + e->inactive, old = r->first + e->active;
  return idle < old ? idle : old;
}

static inline uint8_t timeout_reason(const c_engine *e, const record *r) {
  if (r->last + e->inactive > r->first + e->active) return 2;
  return (r->flags[0] | r->flags[1]) & 5 ? 3 : 1;
}

static void end_record(c_engine *e, record *r, bucket *b, int lane, uint8_t reason) {
  if (r->marks & GUEST) {
    bucket *home = bucket_of(e, hash_key(e, r->key));
    set_guests(home, guests(home) - 1);
  }
  b->signature[lane] = 0;
  e->count--;
  __builtin_prefetch((const uint8_t *)r + 64, 1, 3);
  r->end_reason = reason;
  r->key.rest |= 0xFF;
  e->ended[reason]++;
  e->ended_packets += (uint64_t)r->packets[0] + r->packets[1];
  e->outbox[e->finished++] = r;
}

static inline void count(record *r, const packet *p, int direction) {
  r->packets[direction]++;
  r->octets[direction] += p->octets;
  r->flags[direction] |= p->flags;
  r->last = p->time;
}

static uint16_t due_tick(uint64_t at, uint64_t clock) {
  uint64_t now = clock >> TICK_SHIFT, tick = (at >> TICK_SHIFT) + 1;
  if (tick < now) tick = now;
  return (uint16_t)((tick < now + FARTHEST ? tick : now + FARTHEST) << 1);
}

static inline uint32_t occupied(const bucket *b) { return ~matches(b, 0) & 0xFF; }

static void set_due(c_engine *e, bucket *b, int lane, uint16_t tick) {
  b->due[lane] = tick | (b->due[lane] & 1);
  uint16_t *earliest = e->earliest + (b - e->buckets) / GROUP;
  if ((int16_t)(tick - *earliest) < 0) *earliest = tick;
}

static void prefetch_records(const c_engine *e, const bucket *b, uint32_t lanes) {
  for (; lanes; lanes &= lanes - 1) __builtin_prefetch(e->records + b->index[__builtin_ctz(lanes)], 1, 3);
}

static int end_oldest(c_engine *e, bucket *b) {
  uint32_t lanes = occupied(b);
  if (!lanes) return 0;
  int oldest = 0;
  uint64_t before = UINT64_MAX;
  for (; lanes; lanes &= lanes - 1) {
    int lane = __builtin_ctz(lanes);
    uint64_t last = e->records[b->index[lane]].last;
    if (last < before) before = last, oldest = lane;
  }
  end_record(e, e->records + b->index[oldest], b, oldest, 5);
  return 1;
}

static void evict(c_engine *e, uint64_t index) {
  if (e->finished >= OUTBOX || end_oldest(e, e->buckets + index)) return;
  for (int step = 0, found = 0; step < 64 && !found; step++) {
    found = end_oldest(e, e->buckets + e->hand);
    if (++e->hand == e->bucket_count) e->hand = 0;
  }
  __builtin_prefetch(e->buckets + (e->hand + 1 == e->bucket_count ? 0 : e->hand + 1), 1, 3);
  prefetch_records(e, e->buckets + e->hand, occupied(e->buckets + e->hand));
}

static void prefetch_new(c_engine *e, uint64_t number, bucket *b, uint64_t hash) {
  __builtin_prefetch(e->earliest + (b - e->buckets) / GROUP, 1, 3);
  if (number < e->free_count) {
    record *r = e->records + e->free_list[e->free_count - 1 - number];
    __builtin_prefetch(r, 1, 3);
    __builtin_prefetch((const uint8_t *)r + 64, 1, 3);
  }
  if (e->count + number >= e->limit) prefetch_records(e, b, occupied(b));
  if (guests(b)) __builtin_prefetch(guest_bucket(e, hash, 0), 1, 3);
}

static __attribute__((noinline)) void make_flow(c_engine *e, const packet *p, uint64_t now) {
  bucket *b = bucket_of(e, p->hash);
  uint32_t lanes = matches(b, 0);
  bucket *home = b;
  if (!lanes && e->count < e->limit && guests(b) < MOST_GUESTS)
    for (uint64_t step = 0; step < GROUP && !lanes; step++) {
      b = guest_bucket(e, p->hash, step);
      lanes = matches(b, 0);
    }
  if (!lanes || e->count >= e->limit) {
    b = home;
    evict(e, b - e->buckets);
    lanes = matches(b, 0);
  }
  if (!lanes || e->finished >= OUTBOX || !e->free_count) {
    e->table_full++;
    return;
  }
  uint32_t index = e->free_list[--e->free_count];
  record *r = e->records + index;
  memset(r, 0, sizeof *r);
  r->key = p->key;
  r->index = index;
  r->first = p->time;
  r->destination_mac = (uint64_t)load32(p->frame) << 16 | load16(p->frame + 4);
  r->source_mac = (uint64_t)load32(p->frame + 6) << 16 | load16(p->frame + 10);
  count(r, p, 0);
  if (b != home) {
    r->marks |= GUEST;
    set_guests(home, guests(home) + 1);
  }
  int lane = __builtin_ctz(lanes);
  b->signature[lane] = signature_of(p->hash);
  b->index[lane] = index;
  set_due(e, b, lane, due_tick(deadline(e, r), now));
  e->count++;
  e->flows_made++;
}

static __attribute__((noinline)) void restart(c_engine *e, const packet *p, record *r, uint8_t reason, uint64_t now) {
  int is_guest = r->marks & GUEST, found = 0;
  for (uint64_t step = 0; step < (is_guest ? GROUP : 1) && !found; step++) {
    bucket *b = is_guest ? guest_bucket(e, p->hash, step) : bucket_of(e, p->hash);
    for (uint32_t lanes = matches(b, signature_of(p->hash)); lanes && !found; lanes &= lanes - 1) {
      int lane = __builtin_ctz(lanes);
      if (b->index[lane] != r->index) continue;
      end_record(e, r, b, lane, reason);
      found = 1;
    }
  }
  make_flow(e, p, now);
}

static inline void count_known(c_engine *e, const packet *p, record *r, int direction, uint64_t now) {
  if (now >= deadline(e, r)) {
    restart(e, p, r, timeout_reason(e, r), now);
    return;
  }
  if (p->flags & 2 && r->flags[direction] & 5) {
    restart(e, p, r, 3, now);
    return;
  }
  count(r, p, direction);
}

static __attribute__((noinline)) void search(c_engine *e, const packet *p, uint64_t now) {
  bucket *home = bucket_of(e, p->hash);
  uint64_t others = guests(home) ? GROUP : 0;
  for (uint64_t step = 0; step <= others; step++) {
    bucket *b = step ? guest_bucket(e, p->hash, step - 1) : home;
    for (uint32_t lanes = matches(b, signature_of(p->hash)); lanes; lanes &= lanes - 1) {
      record *r = e->records + b->index[__builtin_ctz(lanes)];
      int toward = direction(p, r);
      if (toward >= 0) {
        count_known(e, p, r, toward, now);
        return;
      }
    }
  }
  make_flow(e, p, now);
}

/// How many of `count` groups from `group` on have nothing due.
static uint64_t waiting_groups(const c_engine *e, uint64_t group, uint64_t count, uint16_t tick) {
  for (uint64_t i = 0; i < count; i += 8) {
    __m128i rest = _mm_sub_epi16(
        _mm_loadu_si128((const __m128i *)(e->earliest + group + i)), _mm_set1_epi16((short)tick));
    uint32_t due = 0xFFFF ^ (uint32_t)_mm_movemask_epi8(_mm_cmpgt_epi16(rest, _mm_setzero_si128()));
    if (due) return i + __builtin_ctz(due) / 2 < count ? i + __builtin_ctz(due) / 2 : count;
  }
  return count;
}

static void settle(c_engine *e, uint64_t group, uint16_t tick) {
  uint16_t first = (uint16_t)((tick & ~1) + 2 * FARTHEST);
  for (bucket *b = e->buckets + group * GROUP; b < e->buckets + (group + 1) * GROUP; b++)
    for (uint32_t lanes = occupied(b); lanes; lanes &= lanes - 1) {
      uint16_t due = b->due[__builtin_ctz(lanes)] & ~1;
      if ((int16_t)(due - first) < 0) first = due;
    }
  e->earliest[group] = first;
}

static uint64_t sweep_handful(c_engine *e, uint64_t limit, uint64_t now) {
  uint16_t tick = (uint16_t)(now >> TICK_SHIFT << 1 | 1);
  int blind = e->sweep_blind > 0;
  if (blind && limit > e->sweep_blind) limit = e->sweep_blind;
  uint64_t groups[HANDFUL], passed = 0;
  int count = 0;
  while (passed < limit && count < HANDFUL) {
    uint64_t ahead = e->group_count - e->sweep_group;
    if (ahead > limit - passed) ahead = limit - passed;
    uint64_t waiting = blind ? 0 : waiting_groups(e, e->sweep_group, ahead, tick);
    passed += waiting;
    e->sweep_group += waiting;
    if (waiting < ahead) groups[count++] = e->sweep_group++, passed++;
    if (e->sweep_group == e->group_count) e->sweep_group = 0;
  }
  if (blind) e->sweep_blind -= passed;
  for (int i = 0; i < count; i++)
    for (int j = 0; j < GROUP; j++) __builtin_prefetch(e->buckets + groups[i] * GROUP + j, 1, 3);
  for (int i = 0; i < count; i++)
    for (int j = 0; j < GROUP; j++) {
      bucket *b = e->buckets + groups[i] * GROUP + j;
      prefetch_records(e, b, blind ? occupied(b) : due_lanes(b, tick));
    }
  for (int i = 0; i < count; i++) {
    for (int j = 0; j < GROUP; j++) {
      bucket *b = e->buckets + groups[i] * GROUP + j;
      for (uint32_t lanes = blind ? occupied(b) : due_lanes(b, tick); lanes; lanes &= lanes - 1) {
        int lane = __builtin_ctz(lanes);
        record *r = e->records + b->index[lane];
        uint64_t due = deadline(e, r);
        if (now >= due) end_record(e, r, b, lane, timeout_reason(e, r));
        else set_due(e, b, lane, due_tick(due, now));
      }
    }
    settle(e, groups[i], tick);
  }
  return passed;
}

static __attribute__((noinline)) void sweep(c_engine *e, uint64_t now) {
  if (now - e->swept_to >= SWEEP_PERIOD) e->swept_to = now - SWEEP_PERIOD;
  uint64_t wanted = ((now - e->swept_to) << 20) / e->sweep_step;
  if (wanted > 1024) wanted = 1024;
  if (wanted > e->group_count) wanted = e->group_count;
  uint64_t passed = 0;
  for (int i = 0; passed < wanted && i < 4 && e->finished + HANDFUL * GROUP * WAYS <= OUTBOX; i++)
    passed += sweep_handful(e, wanted - passed, now);
  e->swept_to += (passed * e->sweep_step) >> 20;
}

uint32_t c_engine_process(c_engine *e, const c_frame *frames, uint32_t frame_count, uint64_t now) {
  e->finished = 0;
  uint32_t dissected = 0;
  uint64_t bytes = 0;
  packet *packets = e->packets;
  for (uint32_t i = 0; i < frame_count; i++) {
    bytes += frames[i].wire;
    packet *p = packets + dissected;
    if (!dissect(e, frames + i, now, p)) {
      e->discarded++;
      continue;
    }
    __builtin_prefetch(bucket_of(e, p->hash), 1, 3);
    dissected++;
  }
  e->packets_seen += frame_count;
  e->bytes_seen += bytes;
  uint64_t new_flows = 0;
  for (uint32_t i = 0; i < dissected; i++) {
    packet *p = packets + i;
    bucket *b = bucket_of(e, p->hash);
    uint32_t lanes = matches(b, signature_of(p->hash));
    p->candidate = lanes ? b->index[__builtin_ctz(lanes)] : 0;
    if (lanes) __builtin_prefetch(e->records + p->candidate, 1, 3);
    else prefetch_new(e, new_flows++, b, p->hash);
  }
  for (uint32_t i = 0; i < dissected; i++) {
    packet *p = packets + i;
    if (p->candidate) {
      record *r = e->records + p->candidate;
      int toward = direction(p, r);
      if (toward >= 0) {
        count_known(e, p, r, toward, now);
        continue;
      }
    }
    search(e, p, now);
  }
  if (now - e->swept_to >= e->sweep_delay) sweep(e, now);
  return e->finished;
}

void c_engine_recycle(c_engine *e) {
  for (uint32_t i = 0; i < e->finished; i++) {
    if (i + 8 < e->finished) __builtin_prefetch((const uint8_t *)e->outbox[i + 8] + 64, 1, 3);
    e->free_list[e->free_count++] = e->outbox[i]->index;
  }
  e->finished = 0;
}

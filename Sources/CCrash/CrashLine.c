// Numbers, addresses and times as text for the report.
#include "CrashLine.h"

/// Adds a byte; two are kept for the end of the line.
static void put_byte(martlet_crash_line *out, char byte) {
  if (out->length >= sizeof(out->text) - 2) return;
  out->text[out->length++] = byte;
  out->text[out->length] = 0;
}

void martlet_crash_put(martlet_crash_line *out, const char *text) {
  for (; *text != 0; text++) {
    unsigned char byte = (unsigned char)*text;
    put_byte(out, byte < 0x20 || byte == 0x7F ? '?' : *text);
  }
}

void martlet_crash_end(martlet_crash_line *out) {
  out->text[out->length++] = '\n';
  out->text[out->length] = 0;
}

void martlet_crash_put_number(martlet_crash_line *out, uint64_t number, unsigned base) {
  char digits[24];
  size_t at = sizeof(digits);
  digits[--at] = 0;
  do {
    digits[--at] = "0123456789abcdef"[number % base];
    number /= base;
  } while (number != 0);
  martlet_crash_put(out, digits + at);
}

/// Adds a number of at least two decimal digits.
static void put_two(martlet_crash_line *out, unsigned number) {
  if (number < 10) put_byte(out, '0');
  martlet_crash_put_number(out, number, 10);
}

void martlet_crash_put_time(martlet_crash_line *out, time_t seconds) {
  unsigned long days = seconds < 0 ? 0 : (unsigned long)seconds / 86400;
  unsigned rest = seconds < 0 ? 0 : (unsigned)(seconds % 86400);
  unsigned year = 1970, month = 1;
  for (;; year++) {
    unsigned length = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 366 : 365;
    if (days < length || year >= 9999) break;
    days -= length;
  }
  for (; month < 12; month++) {
    static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    unsigned length = lengths[month - 1] + (leap ? 1u : 0u);
    if (days < length) break;
    days -= length;
  }
  martlet_crash_put_number(out, year, 10);
  put_two(out, month);
  put_two(out, (unsigned)days + 1);
  put_byte(out, 'T');
  put_two(out, rest / 3600);
  put_two(out, rest / 60 % 60);
  put_two(out, rest % 60);
  put_byte(out, 'Z');
}

int martlet_crash_is_version6(uint64_t rest) { return (int)(rest >> 28) & 1; }

static void put_address4(martlet_crash_line *out, uint32_t address) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    martlet_crash_put_number(out, (address >> shift) & 0xFF, 10);
    if (shift > 0) put_byte(out, '.');
  }
}

static void put_address6(martlet_crash_line *out, const uint8_t bytes[16]) {
  unsigned groups[8];
  for (int group = 0; group < 8; group++) groups[group] = (unsigned)bytes[2 * group] << 8 | bytes[2 * group + 1];
  // The first of the longest runs of zeros becomes "::", if it is longer than one group.
  int best = -1, longest = 1;
  for (int start = 0; start < 8; start++) {
    int length = 0;
    while (start + length < 8 && groups[start + length] == 0) length++;
    if (length > longest) {
      best = start;
      longest = length;
    }
  }
  put_byte(out, '[');
  for (int group = 0; group < 8; group++) {
    if (group == best) {
      martlet_crash_put(out, "::");
      group += longest - 1;
      continue;
    }
    if (group > 0 && (best < 0 || group != best + longest)) put_byte(out, ':');
    martlet_crash_put_number(out, groups[group], 16);
  }
  put_byte(out, ']');
}

/// The protocols' names as IANA's registry has them, in lower case.
static const char *protocol_name(unsigned number) {
  switch (number) {
    case 1: return "icmp";
    case 2: return "igmp";
    case 6: return "tcp";
    case 17: return "udp";
    case 47: return "gre";
    case 50: return "esp";
    case 58: return "icmpv6";
    case 132: return "sctp";
    case 136: return "udplite";
    default: return NULL;
  }
}

/// One end of a flow: the address, and the port where the protocol has some; without one it is 0 in the key.
static void put_end(
    martlet_crash_line *out, int is_version6, uint32_t address, const uint8_t *address6, int has_ports, unsigned port) {
  if (is_version6) put_address6(out, address6);
  else put_address4(out, address);
  if (!has_ports) return;
  put_byte(out, ':');
  martlet_crash_put_number(out, port, 10);
}

void martlet_crash_put_flow(martlet_crash_line *out, uint64_t addresses, uint64_t rest, const uint8_t addresses6[32]) {
  int is_version6 = martlet_crash_is_version6(rest);
  unsigned protocol = (rest >> 8) & 0xFF, vlan = (rest >> 16) & 0xFFF;
  int has_ports = protocol == 6 || protocol == 17 || protocol == 132 || protocol == 136;
  put_end(out, is_version6, (uint32_t)(addresses >> 32), addresses6, has_ports, (unsigned)(rest >> 48));
  martlet_crash_put(out, " > ");
  put_end(out, is_version6, (uint32_t)addresses, addresses6 + 16, has_ports, (unsigned)(rest >> 32) & 0xFFFF);
  const char *name = protocol_name(protocol);
  martlet_crash_put(out, name ? " " : " protocol ");
  if (name) martlet_crash_put(out, name);
  else martlet_crash_put_number(out, protocol, 10);
  if (vlan != 0) {
    martlet_crash_put(out, " vlan ");
    martlet_crash_put_number(out, vlan, 10);
  }
}

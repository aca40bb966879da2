// What libpcap's archive needs to be part of a library that opens no device.
#include "CNoDevices.h"
#include <stddef.h>
#include <stdio.h>

// C's streams under the names that packaging/build-libmartlet.sh gives them in libpcap's archive, which refers to them
// as only a program can.
__attribute__((visibility("hidden"))) FILE *martlet_pcap_stdin, *martlet_pcap_stdout, *martlet_pcap_stderr;

__attribute__((constructor)) static void find_streams(void) {
  martlet_pcap_stdin = stdin;
  martlet_pcap_stdout = stdout;
  martlet_pcap_stderr = stderr;
}

// The archive has a way to capture from D-Bus, for which it would need libdbus, and that libsystemd: these stand in the
// place of its two entries, as the linker takes what is there already.

/// Adds the devices that there are to `list`: none.
__attribute__((visibility("hidden"))) int dbus_findalldevs(void *list, char *error) {
  (void)list;
  (void)error;
  return 0;
}

/// Opens a device: it is none of these.
__attribute__((visibility("hidden"))) void *dbus_create(const char *device, char *error, int *is_ours) {
  (void)device;
  (void)error;
  *is_ours = 0;
  return NULL;
}

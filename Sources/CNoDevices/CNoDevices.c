// A library that reads captures opens no device. libpcap's archive has a way to capture from D-Bus, for which it would need libdbus,
// and that libsystemd: these stand in the place of its two entries, as the linker takes what is there already.
#include "CNoDevices.h"
#include <stddef.h>

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

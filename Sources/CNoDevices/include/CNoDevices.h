// Nothing to call: libpcap does.
#ifndef MARTLET_CNODEVICES_H
#define MARTLET_CNODEVICES_H
#endif

// libzstd's streams, only what is stable of it.
#include <zstd.h>

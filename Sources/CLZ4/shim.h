// liblz4's blocks, each with those before it as its dictionary.
#include <lz4.h>

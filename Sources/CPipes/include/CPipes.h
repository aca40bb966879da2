// Pipes whose reader can be told to stop: a blocked read would wait for as long as nobody writes.
#ifndef CPIPES_H
#define CPIPES_H
#include <stdio.h>

/// A descriptor that says stop, once it is told to; -1 and errno where there is none.
int martlet_stop_open(void);
/// Makes it readable.
void martlet_stop_tell(int stop);

/// A stream that reads a FIFO, or standard input where `path` is NULL. When `stop` becomes readable its reads fail with
/// ECANCELED, also one that waits, and also where nobody has opened the FIFO to write. `stop` must outlive the stream.
///
/// - Returns: NULL and errno where it cannot be opened.
FILE *martlet_pipe_open(const char *path, int stop);
#endif

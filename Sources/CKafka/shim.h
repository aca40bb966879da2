// librdkafka's C interface. Variadic functions (rd_kafka_producev) are not visible in Swift, and not needed.
#include <librdkafka/rdkafka.h>

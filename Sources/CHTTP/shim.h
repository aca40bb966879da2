// libmicrohttpd: HTTP/1.1, which is not Martlet's business. Swift cannot call functions with a variable number of
// arguments, and knows its constants by other names in each version: what needs either is wrapped.
#include <stddef.h>
#include <stdint.h>

#include <microhttpd.h>

/// Serves on a listening socket, which is the server's from now on, in one thread of its own; NULL where it cannot.
///
/// `connections` are served at once, each with `memory` bytes for its request, each closed after `timeout` seconds
/// without a byte; `handler` and `notify` get `context` and are called in that thread.
static inline struct MHD_Daemon *martlet_http_start(
    MHD_socket socket, unsigned connections, size_t memory, unsigned timeout, MHD_AccessHandlerCallback handler,
    MHD_NotifyConnectionCallback notify, void *context) {
  return MHD_start_daemon(
      MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, handler, context, MHD_OPTION_LISTEN_SOCKET, socket,
      MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory,
      MHD_OPTION_CONNECTION_TIMEOUT, timeout, MHD_OPTION_NOTIFY_CONNECTION, notify, context, MHD_OPTION_END);
}

/// The descriptor of a connection's socket; -1 where it has none.
static inline int martlet_http_descriptor(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info ? info->connect_fd : -1;
}

/// Whether a notification says that the connection was opened; else it is about to be closed.
static inline int martlet_http_is_opened(enum MHD_ConnectionNotificationCode code) {
  return code == MHD_CONNECTION_NOTIFY_STARTED;
}

/// What the request's header `name` says; NULL where it has none.
static inline const char *martlet_http_header(struct MHD_Connection *connection, const char *name) {
  return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/// Cuts the connection off.
static inline enum MHD_Result martlet_http_refuse(void) { return MHD_NO; }

/// Sends a copy of `count` bytes, after which the connection ends; `allow` are the methods of status 405, or NULL.
static inline enum MHD_Result martlet_http_respond(
    struct MHD_Connection *connection, unsigned status, const char *type, const char *allow, const void *bytes,
    size_t count) {
  // The response copies the bytes, which it does not change.
  struct MHD_Response *response = MHD_create_response_from_buffer(
      count, (void *)(uintptr_t)bytes, MHD_RESPMEM_MUST_COPY);
  if (!response) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  if (allow) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
  enum MHD_Result result = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return result;
}

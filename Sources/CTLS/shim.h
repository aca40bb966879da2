// libssl and the parts of libcrypto that certificates need, with a constant that is made by macros, which Swift cannot
// read.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

/// A peer may not begin another handshake within a connection (TLS 1.2).
static const uint64_t martlet_tls_no_renegotiation = SSL_OP_NO_RENEGOTIATION;

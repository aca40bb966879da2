// libcrypto's MD5 and SHA-256 that work in the caller's memory. OpenSSL 3 prefers EVP to them, but EVP allocates and
// takes locks, which the packet path must not. They use the CPU's SHA instructions where it has them.
//
// Ciphers are EVP's: only there AES uses the CPU's instructions. A context that was made, and given its cipher, before
// there are packets neither allocates nor locks when it gets another key.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

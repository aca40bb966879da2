// Objects of models: loading them from memory and calling them. See CModels.h.
#define _GNU_SOURCE
#include "CModels.h"
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Thread_local char message[256];

static const char *failed(const char *what, const char *why) {
  snprintf(message, sizeof message, "%s: %s", what, why);
  return message;
}

/// A file in memory with these octets, which nobody can change any more; -1 on an error.
static int sealed(const void *octets, size_t count) {
#ifdef MFD_EXEC
  int descriptor = memfd_create("martlet-model", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  // Kernels before 6.3 do not know that flag.
  if (descriptor < 0 && errno == EINVAL) descriptor = memfd_create("martlet-model", MFD_CLOEXEC | MFD_ALLOW_SEALING);
#else
  int descriptor = memfd_create("martlet-model", MFD_CLOEXEC | MFD_ALLOW_SEALING);
#endif
  if (descriptor < 0) return -1;
  size_t written = 0;
  while (written < count) {
    ssize_t part = write(descriptor, (const char *)octets + written, count - written);
    if (part < 0 && errno == EINTR) continue;
    if (part <= 0) break;
    written += (size_t)part;
  }
  const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (written == count && fcntl(descriptor, F_ADD_SEALS, seals) == 0) return descriptor;
  int code = errno;
  close(descriptor);
  errno = code;
  return -1;
}

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#endif

/// Whether an object is one for another machine: the loader says of such that there is no such file.
static int is_foreign(const void *octets, size_t count) {
  Elf64_Ehdr head;
  if (count < sizeof head) return 0;
  memcpy(&head, octets, sizeof head);
  if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) return 0;
  return head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB || head.e_machine != MACHINE;
}

/// Whether all that the loader will map of an object is there: what is not ends the process by SIGBUS.
static int is_whole(const void *octets, size_t count) {
  Elf64_Ehdr head;
  if (count < sizeof head) return 0;
  memcpy(&head, octets, sizeof head);
  if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) return 0;
  if (head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phoff > count) return 0;
  if ((count - head.e_phoff) / sizeof(Elf64_Phdr) < head.e_phnum) return 0;
  for (unsigned i = 0; i < head.e_phnum; i++) {
    Elf64_Phdr part;
    memcpy(&part, (const char *)octets + head.e_phoff + i * sizeof part, sizeof part);
    if (part.p_type != PT_LOAD) continue;
    if (part.p_offset > count || part.p_filesz > count - part.p_offset) return 0;
  }
  return 1;
}

const char *martlet_model_open(const void *octets, size_t count, martlet_model_object *object) {
  memset(object, 0, sizeof *object);
  if (is_foreign(octets, count))
    return failed("cannot be loaded", "it is for another kind of machine: compile it again");
  if (!is_whole(octets, count)) return failed("cannot be loaded", "it is no whole shared object (ELF)");
  object->descriptor = sealed(octets, count);
  if (object->descriptor < 0) return failed("cannot be copied into memory", strerror(errno));
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", object->descriptor);
  object->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (object->handle == NULL) {
    const char *why = dlerror();
    close(object->descriptor);
    return failed("cannot be loaded", why != NULL ? why : "unknown reason");
  }
  object->predict = (martlet_model_function)dlsym(object->handle, "martlet_model_predict");
  const uint32_t *shape = dlsym(object->handle, "martlet_model_shape");
  if (object->predict == NULL || shape == NULL) {
    const char *missing = object->predict == NULL ? "martlet_model_predict" : "martlet_model_shape";
    martlet_model_close(object);
    return failed("is no object of a model, because it lacks", missing);
  }
  memcpy(object->shape, shape, sizeof object->shape);
  return NULL;
}

void martlet_model_close(martlet_model_object *object) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", object->descriptor);
  dlclose(object->handle);
  // An object that insists on staying keeps its name, which the next one must not have.
  void *still = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
  if (still != NULL) {
    dlclose(still);
  } else {
    close(object->descriptor);
  }
  memset(object, 0, sizeof *object);
}

__attribute__((noinline)) void martlet_model_call(
    martlet_model_function predict, const double *features, double *scores) {
  predict(features, scores);
}

__attribute__((noinline)) const void *martlet_model_enter(const void *const *current, const void **in_use) {
  for (;;) {
    const void *model = __atomic_load_n(current, __ATOMIC_ACQUIRE);
    // Seen by who takes models away before the second look: either that finds another one, or it is waited for.
    __atomic_store_n(in_use, model, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(current, __ATOMIC_SEQ_CST) == model) return model;
  }
}

void martlet_model_replace(const void **current, const void *next) {
  __atomic_store_n(current, next, __ATOMIC_SEQ_CST);
}

int martlet_model_is_used(const void *const *in_use, const void *model) {
  return __atomic_load_n(in_use, __ATOMIC_SEQ_CST) == model;
}

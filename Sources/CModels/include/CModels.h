// Objects of models: shared libraries that are loaded from memory, so that what was checked is what runs, and the one
// call of what they are for. How a worker says that it uses a model while another thread may take it away is here, too,
// because it takes instructions that Swift has no name for.
#ifndef CMODELS_H
#define CMODELS_H
#include <stddef.h>
#include <stdint.h>

/// Version of the interface of objects: the functions and values that they have, and what these mean.
enum { MARTLET_MODEL_ABI = 1 };

/// The most that a model may have. Python/tools/make_limits.py makes of these what the package checks when it compiles
/// one.
enum {
  /// Octets of a feature's expression, its parts, how many brackets are in each other, and the largest index of an
  /// entry.
  MARTLET_FEATURE_OCTETS = 512,
  MARTLET_FEATURE_PARTS = 64,
  MARTLET_FEATURE_BRACKETS = 16,
  MARTLET_FEATURE_INDEX = 1023,
  /// Features, outputs or classes, and different numbers that the features of all models are made of.
  MARTLET_MODEL_FEATURES = 2048,
  MARTLET_MODEL_OUTPUTS = 1024,
  MARTLET_MODEL_INPUTS = 4096,
  /// Octets of a name, a version and a class, which have to fit into a message, and those of a manifest.
  MARTLET_MODEL_TEXT = 128,
  MARTLET_MODEL_MANIFEST = 1048576
};

/// The one function of an object, `martlet_model_predict`: reads as many numbers as the object has features, of which
/// NaN is one that is missing, and writes as many as it has outputs.
typedef void (*martlet_model_function)(const double *features, double *scores);

/// An object that is loaded.
typedef struct {
  void *handle;
  martlet_model_function predict;
  /// `martlet_model_shape` of the object: the interface's version, features, outputs.
  uint32_t shape[3];
  /// What it was loaded from. It stays open, because the loader knows objects by their names, which have its number.
  int descriptor;
} martlet_model_object;

/// Loads an object of `count` octets. NULL, or why it cannot be loaded: a text that is good until the thread's next
/// call.
const char *martlet_model_open(const void *octets, size_t count, martlet_model_object *object);
/// Unloads an object; nobody may be using it.
void martlet_model_close(martlet_model_object *object);
/// Has an object score `features`.
void martlet_model_call(martlet_model_function predict, const double *features, double *scores);

/// Takes what `current` points to into use: it stays until `*in_use` is NULL again. NULL where there is nothing.
const void *martlet_model_enter(const void *const *current, const void **in_use);
/// Ends the use.
static inline void martlet_model_leave(const void **in_use) { __atomic_store_n(in_use, NULL, __ATOMIC_RELEASE); }
/// Puts `next` into the place of what `current` points to.
void martlet_model_replace(const void **current, const void *next);
/// Whether `in_use` names `model`.
int martlet_model_is_used(const void *const *in_use, const void *model);
#endif

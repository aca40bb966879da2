// libyaml's events: what is in a settings file, one after the other, with the lines where it stands.
#include <yaml.h>

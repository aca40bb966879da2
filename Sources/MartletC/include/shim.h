// For Swift the structures of Arrow are CArrow's, so that there is one of each.
#include "../../CArrow/include/CArrow.h"
#include "martlet.h"

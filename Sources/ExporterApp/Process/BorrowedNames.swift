// What the floor below, which reads captures and settings for the library, too, calls as the whole program does.
import Captures

/// Why the program cannot go on, in words for the person who started it.
typealias Failure = Captures.Failure
/// Text that is no value of its kind.
typealias InvalidValue = Captures.InvalidValue
/// A span of time given in seconds, with decimals.
typealias Seconds = Captures.Seconds
/// Whole numbers with bounds that the error names.
typealias Bounded = Captures.Bounded

/// Names and numbers of the program itself.
typealias Product = Captures.Product

/// The system's words for an errno.
func errorText(_ number: Int32) -> String { Captures.errorText(number) }

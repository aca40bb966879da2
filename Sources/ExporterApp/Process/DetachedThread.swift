// Threads for what may block, a disk or a terminal, while lcores go on.
import Glibc

/// A thread that gets no signals and that nobody waits for. It runs on the CPUs of the thread that starts it, so an output
/// starts its thread where it is made: by the control lcore, never by one that exports.
enum DetachedThread {
  /// Starts one; 0 or an errno.
  static func start(_ body: @escaping @Sendable () -> Void) -> Int32 {
    final class Context: Sendable {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    // Safe: retained once here; given back once, by the thread, or at the end where none has started.
    let context = Unmanaged.passRetained(Context(body))
    var thread = pthread_t()
    let code = Signals.blockingAll {
      pthread_create(
        &thread, nil,
        { context in
          // Safe: what `pthread_create` gets below, of this class; the thread takes it once.
          if let context { Unmanaged<Context>.fromOpaque(context).takeRetainedValue().body() }
          return nil
        }, context.toOpaque())
    }
    if code == 0 { pthread_detach(thread) } else { context.release() }
    return code
  }
}

// Threads that read captures while the consumer does something else; signals are the consumer's.
import Glibc

/// A thread that somebody joins.
enum BackgroundThread {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Starts one that gets no signals; 0 or an errno.
  static func start(_ thread: inout pthread_t, _ body: @escaping @Sendable () -> Void) -> Int32 {
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    // Safe: retained once here; given back once, by the thread, or at the end where none has started.
    let context = Unmanaged.passRetained(Body(body))
    let code = pthread_create(
      &thread, nil,
      { context in
        // Safe: what `pthread_create` gets below, of this class; the thread takes it once.
        if let context { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
        return nil
      }, context.toOpaque())
    if code != 0 { context.release() }
    return code
  }
}
